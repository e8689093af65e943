# ruff: noqa: E501  (a chain stands on one line)
r"""Chains of thought whose languages were marked by hand, before any counter of ours had seen them.

The rule, which knows nothing of the counter:

- Text between `⟨xx` and `⟩` is in language `xx`. In Chinese and Japanese `|` stands between the words as a reader would
  cut them (Chinese by dictionary words, Japanese by phrase: a word with its particles or endings), and is not shown.
  In other languages a word is whatever stands between two spaces.
- Everything outside the marks is in no language: mathematics, quantities and their names in formulas, code, numbers,
  tags, URLs, abbreviations, and the names of people, theorems and tools.
- Words that are words of no language (gibberish) are marked `xx`: they count, and they are never the target's.

The true share is then target words over all words; a chain without words has share 0, as the reward defines it.

`PLAIN` holds clean text, one idea each; `HARD` what readers of real chains meet: code without a fence, LaTeX without
delimiters, very short lines, clauses that switch, Japanese in kanji alone, capitals, gibberish. Thresholds may be
tuned on the snippets with an even place in their list only; those with an odd place are held out.
"""

import re
from dataclasses import dataclass


LANGUAGES = ("en", "zh", "fr", "de", "es", "ja", "ru")
_MARKED = re.compile(r"⟨(\w\w) ([^⟩]*)⟩", re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A marked chain of thought, its kind, and the language it should be in."""

    kind: str
    target: str
    marked: str

    @property
    def text(self):
        """The chain as the counter sees it."""
        return _MARKED.sub(lambda match: match[2].replace("|", ""), self.marked)

    @property
    def words(self):
        """Words of each language, as marked."""
        counts = {}
        for language, part in _MARKED.findall(self.marked):
            cut = part.split("|") if language in {"zh", "ja"} else part.split()
            counts[language] = counts.get(language, 0) + len([word for word in cut if re.search(r"\w", word)])
        return counts

    @property
    def share(self):
        """The true share of the target's words."""
        total = sum(self.words.values())
        return self.words.get(self.target, 0) / total if total else 0.0


PLAIN = [
    Snippet("pure", "en", "⟨en First we add the two numbers, and then we divide the sum by three.⟩"),
    Snippet("pure", "en", "⟨en Let me check this again. The train leaves at noon, so it cannot arrive before one.⟩"),
    Snippet("pure", "zh", "⟨zh 我们|先|把|两个|数|相加，|然后|把|和|除以|三。⟩"),
    Snippet("pure", "zh", "⟨zh 再|检查|一遍：|火车|中午|出发，|所以|不可能|在|一点|之前|到达。⟩"),
    Snippet(
        "pure", "fr", "⟨fr Nous commençons par additionner les deux nombres, puis nous divisons la somme par trois.⟩"
    ),
    Snippet("pure", "fr", "⟨fr Vérifions encore une fois : le train part à midi, donc il ne peut pas arriver avant.⟩"),
    Snippet("pure", "de", "⟨de Zuerst addieren wir die beiden Zahlen, und dann teilen wir die Summe durch drei.⟩"),
    Snippet("pure", "de", "⟨de Prüfen wir das noch einmal: Der Zug fährt mittags ab, also kommt er später an.⟩"),
    Snippet("pure", "es", "⟨es Primero sumamos los dos números y después dividimos la suma entre tres.⟩"),
    Snippet("pure", "es", "⟨es Comprobemos otra vez: el tren sale al mediodía, así que no puede llegar antes.⟩"),
    Snippet("pure", "ja", "⟨ja まず|二つの|数を|足して、|その|和を|三で|割ります。⟩"),
    Snippet("pure", "ja", "⟨ja もう|一度|確認しよう。|電車は|正午に|出るので、|その前に|着くことは|ない。⟩"),
    Snippet("pure", "ru", "⟨ru Сначала сложим два числа, а затем разделим сумму на три.⟩"),
    Snippet("pure", "ru", "⟨ru Проверим ещё раз: поезд отправляется в полдень, поэтому раньше он не придёт.⟩"),
    Snippet("other", "zh", "⟨en The question is in Chinese, but I will simply think about it in English.⟩"),
    Snippet("other", "en", "⟨zh 题目|是|英文|的，|但是|我|用|中文|来|思考|这个|问题。⟩"),
    Snippet("other", "fr", "⟨en The question is in French, but I will simply think about it in English.⟩"),
    Snippet("other", "de", "⟨en We know that the angle is right, so the other two must add up to ninety.⟩"),
    Snippet("other", "en", "⟨de Der Winkel ist ein rechter, also ergeben die beiden anderen zusammen neunzig Grad.⟩"),
    Snippet("other", "es", "⟨fr Le prix baisse de dix pour cent, il faut donc multiplier par neuf dixièmes.⟩"),
    Snippet(
        "other", "en", "⟨es El precio baja un diez por ciento, por lo tanto hay que multiplicar por nueve décimos.⟩"
    ),
    Snippet("other", "en", "⟨ru Цена снижается на десять процентов, значит, умножаем на девять десятых.⟩"),
    Snippet("other", "zh", "⟨ja 値段が|十パーセント|下がるので、|九割を|掛ければ|よい。⟩"),
    Snippet("other", "ru", "⟨en The price falls by ten percent, which means that we multiply by nine tenths.⟩"),
    Snippet("latex", "en", r"⟨en The roots are⟩ $x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}$, ⟨en so both are real.⟩"),
    Snippet("latex", "zh", r"⟨zh 设|底边|为⟩ $a$，⟨zh 高|为⟩ $h$，⟨zh 则|面积|等于⟩ $\frac{1}{2}ah$⟨zh 。⟩"),
    Snippet(
        "latex", "fr", r"⟨fr On obtient⟩ \[ \int_0^1 x^2 dx = \frac{1}{3} \] ⟨fr et le résultat est donc positif.⟩"
    ),
    Snippet(
        "latex",
        "de",
        r"⟨de Daraus folgt⟩ \(n = 2k + 1\) ⟨de mit einer ganzen Zahl⟩ \(k\), ⟨de also ist sie ungerade.⟩",
    ),
    Snippet("latex", "ja", r"⟨ja 判別式は⟩ $D = b^2 - 4ac$ ⟨ja なので、|これが|正なら|解は|二つ|ある。⟩"),
    Snippet("latex", "ru", r"⟨ru Получаем⟩ $$S = \pi r^2$$ ⟨ru и подставляем радиус, равный пяти.⟩"),
    Snippet(
        "latex",
        "es",
        r"\begin{align} a + b &= 7 \\ a - b &= 1 \end{align} ⟨es Sumando las dos ecuaciones sale el valor buscado.⟩",
    ),
    Snippet("numbers", "en", "12 + 30 = 42, 42 * 2 = 84. ⟨en So the total is⟩ 84, ⟨en not⟩ 48."),
    Snippet("numbers", "zh", "12 + 30 = 42，42 × 2 = 84。⟨zh 所以|总数|是⟩ 84，⟨zh 不是⟩ 48。"),
    Snippet("numbers", "ru", "3, 5, 8, 13. ⟨ru Каждый член равен сумме двух предыдущих:⟩ 8 + 13 = 21."),
    Snippet(
        "code",
        "en",
        "⟨en Here is what I have in mind:⟩\n```python\nfor item in items:\n    print(item)\n```\n⟨en It prints each one.⟩",
    ),
    Snippet(
        "code",
        "zh",
        "⟨zh 代码|如下：⟩\n```python\ndef add(first, second):\n    return first + second\n```\n⟨zh 这样|就|可以|了。⟩",
    ),
    Snippet("code", "fr", "⟨fr La fonction⟩ `max_value` ⟨fr renvoie le plus grand élément de la liste.⟩"),
    Snippet("code", "de", "⟨de Mit⟩ `sorted(values)[0]` ⟨de erhalten wir den kleinsten Wert der Liste.⟩"),
    Snippet("code", "ja", "⟨ja ここでは⟩ `len(items)` ⟨ja を|使って|長さを|求める。⟩"),
    Snippet("mix", "en", "⟨en We let the number be unknown.⟩ ⟨zh 然后|列|方程|求解|即可。⟩"),
    Snippet("mix", "zh", "⟨zh 设|这个|数|为|未知数。⟩⟨en Then we solve the equation for it.⟩"),
    Snippet("mix", "zh", "⟨zh 先|求|速度，|再|求|时间。|时间|等于|路程|除以|速度。⟩⟨en That is easy.⟩"),
    Snippet("mix", "en", "⟨en First find the speed. Then find the time. Time is distance over speed.⟩ ⟨zh 很|简单。⟩"),
    Snippet("mix", "fr", "⟨fr Nous cherchons la vitesse du train.⟩ ⟨en We divide the distance by the time.⟩"),
    Snippet("mix", "de", "⟨de Wir suchen die Geschwindigkeit des Zuges.⟩ ⟨en We divide the distance by the time.⟩"),
    Snippet(
        "mix", "es", "⟨es Buscamos la velocidad del tren en esta pregunta.⟩ ⟨en We divide the distance by the time.⟩"
    ),
    Snippet("mix", "ru", "⟨ru Ищем скорость поезда.⟩ ⟨en We divide the distance by the time.⟩"),
    Snippet("mix", "ja", "⟨ja 電車の|速さを|求めます。⟩⟨en We divide the distance by the time.⟩"),
    Snippet("mix", "en", "⟨en We look for the speed of the train.⟩ ⟨ru Делим путь на время. Это просто.⟩"),
    Snippet("names", "zh", "⟨zh 根据⟩ Euler ⟨zh 公式，|顶点|数|减去|边|数|再|加上|面|数|等于|二。⟩"),
    Snippet("names", "zh", "⟨zh 用⟩ Python ⟨zh 或者⟩ Java ⟨zh 都|可以|实现|这个|算法。⟩"),
    Snippet("names", "ru", "⟨ru По теореме⟩ Viète ⟨ru сумма корней равна второму коэффициенту со знаком минус.⟩"),
    Snippet("names", "ja", "⟨ja ここで⟩ Fermat ⟨ja の|小定理を|使うと、|余りは|一になる。⟩"),
    Snippet("names", "fr", "⟨fr D'après le théorème de⟩ Thalès⟨fr , les deux rapports sont égaux.⟩"),
    Snippet("names", "en", "⟨en By the theorem of⟩ Pythagoras ⟨en the third side is five metres long.⟩"),
    Snippet("url", "en", "⟨en The table is at⟩ https://example.org/tables/primes ⟨en and lists them all.⟩"),
    Snippet("abbreviations", "zh", "⟨zh 用⟩ DP ⟨zh 或者⟩ BFS ⟨zh 求|最短|路径|都|行。⟩"),
    Snippet("abbreviations", "ja", "⟨ja この|問題は⟩ GCD ⟨ja を|使えば|すぐに|解ける。⟩"),
    Snippet("empty", "en", "1 + 1 = 2, 2 + 2 = 4."),
    Snippet("empty", "zh", r"$x^2 = 4$, $x = \pm 2$"),
]

HARD = [
    Snippet(
        "code",
        "zh",
        "⟨zh 我们|可以|这样|写：⟩\ndef solve(items):\n    total = 0\n    for item in items:\n        total += item\n    return total\n⟨zh 这个|函数|返回|总和。⟩",
    ),
    Snippet("code", "zh", "⟨zh 先|读入|数据，⟩n = int(input())，⟨zh 再|排序，⟩values.sort()，⟨zh 最后|输出|第一个。⟩"),
    Snippet(
        "code",
        "fr",
        "⟨fr On peut écrire une boucle :⟩\nfor i in range(n):\n    if values[i] > best:\n        best = values[i]\n⟨fr et le maximum se trouve dans la variable.⟩",
    ),
    Snippet(
        "code",
        "de",
        "⟨de Das Programm lautet:⟩\nint main() {\n    int total = 0;\n    while (total < limit) { total++; }\n    return total;\n}\n⟨de Es zählt bis zur Grenze.⟩",
    ),
    Snippet(
        "code",
        "ja",
        "⟨ja 次のように|書けば|よい。⟩\nresult = []\nfor word in words:\n    result.append(word.lower())\n⟨ja これで|小文字に|なる。⟩",
    ),
    Snippet(
        "code",
        "ru",
        "⟨ru Напишем функцию:⟩\ndef gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n⟨ru Она возвращает наибольший общий делитель.⟩",
    ),
    Snippet(
        "code", "zh", "⟨zh 查询|语句|是⟩ SELECT name FROM users WHERE age > 18 ORDER BY name; ⟨zh 结果|按|姓名|排序。⟩"
    ),
    Snippet(
        "code",
        "es",
        "⟨es La función sería⟩\nfunction add(first, second) {\n  const total = first + second;\n  return total;\n}\n⟨es y devuelve la suma de los dos.⟩",
    ),
    Snippet("code", "zh", "⟨zh 变量⟩ left_index ⟨zh 和⟩ rightIndex ⟨zh 分别|指向|两端，|每次|移动|一个。⟩"),
    Snippet(
        "code",
        "en",
        "⟨zh 写|个|循环：⟩\nwhile remaining > 0:\n    remaining -= step\n    count += 1\n⟨zh 计数|就是|答案。⟩",
    ),
    Snippet("latex", "zh", r"⟨zh 由|公式|得⟩ \text{area} = \frac{base \times height}{2}，⟨zh 代入|数值|即可。⟩"),
    Snippet("latex", "fr", r"⟨fr On a⟩ v_{max} = \sqrt{2 g h} ⟨fr ce qui donne la vitesse cherchée.⟩"),
    Snippet("latex", "zh", r"⟨zh 当⟩ \lim_{n \to \infty} a_n = 0 ⟨zh 时，|级数|不一定|收敛。⟩"),
    Snippet("latex", "ja", r"⟨ja したがって⟩ \sum_{k=1}^{n} k = \frac{n(n+1)}{2} ⟨ja が|成り立つ。⟩"),
    Snippet("latex", "ru", r"⟨ru Отсюда⟩ \sin x = \frac{opposite}{hypotenuse} ⟨ru и угол найден.⟩"),
    Snippet("latex", "zh", r"⟨zh 总|费用|为⟩ total = price \cdot quantity + shipping，⟨zh 所以|答案|是⟩ 85。"),
    Snippet("latex", "de", r"⟨de Es gilt⟩ x \equiv 3 \pmod{7} ⟨de und deshalb bleibt der Rest drei.⟩"),
    Snippet("latex", "en", r"⟨zh 速度⟩ speed = distance / time，⟨zh 因此|是|六十。⟩"),
    Snippet("short", "fr", "⟨fr Oui.⟩\n⟨fr Donc non.⟩\n⟨fr Attends.⟩\n⟨fr C'est faux.⟩\n⟨fr Recommençons.⟩"),
    Snippet("short", "en", "⟨fr D'accord.⟩\n⟨fr Très bien.⟩\n⟨fr Encore une.⟩\n⟨fr Voilà tout.⟩"),
    Snippet("short", "fr", "⟨en Yes.⟩\n⟨en Wait.⟩\n⟨en That fails.⟩\n⟨en Try again.⟩\n⟨en Good.⟩"),
    Snippet("short", "de", "⟨en Hmm, no.⟩\n⟨en Start over.⟩\n⟨en Which one?⟩\n⟨en The second.⟩"),
    Snippet("short", "de", "⟨de Nein.⟩\n⟨de Noch einmal.⟩\n⟨de Das stimmt.⟩\n⟨de Also zwölf.⟩"),
    Snippet("short", "es", "⟨es Vale.⟩\n⟨es Otra vez.⟩\n⟨es Son doce.⟩\n⟨es Eso es todo.⟩"),
    Snippet("short", "en", "⟨es Claro.⟩\n⟨es No, espera.⟩\n⟨es Muy bien.⟩\n⟨es Ya está.⟩"),
    Snippet("short", "fr", "⟨fr Exactement.⟩"),
    Snippet("short", "en", "⟨en Yes.⟩"),
    Snippet("short", "fr", "⟨en Definitely not.⟩"),
    Snippet("short", "zh", "⟨zh 对。⟩\n⟨zh 不|对。⟩\n⟨en Wait.⟩\n⟨zh 再|来。⟩"),
    Snippet("short", "ru", "⟨ru Да.⟩\n⟨ru Нет.⟩\n⟨en OK then.⟩\n⟨ru Ещё раз.⟩"),
    Snippet("short", "en", "x = 3\n⟨en check:⟩ 3 + 4 = 7\n⟨en ok⟩\ny = 4\n⟨en done⟩"),
    Snippet("short", "de", "x = 3\n⟨de Probe:⟩ 3 + 4 = 7\n⟨de passt⟩\ny = 4\n⟨de fertig⟩"),
    Snippet(
        "switch",
        "fr",
        "⟨fr Nous voulons trouver la racine,⟩ ⟨en but the square of this number is negative,⟩ ⟨fr donc il n'y a pas de solution réelle.⟩",
    ),
    Snippet(
        "switch",
        "en",
        "⟨en We need to find the smallest one,⟩ ⟨fr c'est-à-dire celui qui divise tous les autres,⟩ ⟨en and then we are done.⟩",
    ),
    Snippet(
        "switch",
        "de",
        "⟨de Wir nehmen an, dass die Zahl gerade ist,⟩ ⟨en which means it can be divided by two,⟩ ⟨de und schreiben sie als Doppeltes.⟩",
    ),
    Snippet(
        "switch",
        "en",
        "⟨en The answer should be positive⟩ ⟨de weil beide Faktoren das gleiche Vorzeichen haben⟩ ⟨en so we drop the other one.⟩",
    ),
    Snippet(
        "switch",
        "es",
        "⟨es Si el número es impar,⟩ ⟨en we can write it as twice something plus one,⟩ ⟨es y el cuadrado también será impar.⟩",
    ),
    Snippet(
        "switch",
        "zh",
        "⟨zh 这个|问题|可以|用⟩ ⟨en dynamic programming⟩ ⟨zh 解决，|因为|它|有⟩ ⟨en optimal substructure⟩⟨zh 。⟩",
    ),
    Snippet(
        "switch",
        "zh",
        "⟨zh 我们|需要⟩ ⟨en check⟩ ⟨zh 一下|这个⟩ ⟨en result⟩ ⟨zh 是不是⟩ ⟨en correct⟩⟨zh ，|然后⟩ ⟨en continue⟩⟨zh 。⟩",
    ),
    Snippet(
        "switch",
        "en",
        "⟨en So the⟩ ⟨zh 面积⟩ ⟨en is twelve and the⟩ ⟨zh 周长⟩ ⟨en is fourteen, which matches the⟩ ⟨zh 条件⟩⟨en .⟩",
    ),
    Snippet(
        "switch",
        "ja",
        "⟨ja この|場合は⟩ ⟨en the left side is always even⟩ ⟨ja なので、|右辺も|偶数で|なければ|ならない。⟩",
    ),
    Snippet("switch", "ru", "⟨ru Если число чётное,⟩ ⟨en then we divide it by two,⟩ ⟨ru иначе умножаем на три.⟩"),
    Snippet(
        "switch", "fr", "⟨fr Le premier terme vaut deux⟩ ⟨es y el segundo vale cinco⟩ ⟨fr alors la somme vaut sept.⟩"
    ),
    Snippet(
        "switch", "zh", "⟨zh 先|算|左边，⟩⟨en let me see，⟩⟨zh 等于|十二，⟩⟨en so the right side is twelve too。⟩"
    ),
    Snippet("switch", "zh", "⟨zh 所以|答案|是|三，⟩⟨ja でも|もう|一度|確認します。⟩"),
    Snippet("kanji", "ja", "⟨ja 問題を|解く。⟩\n⟨ja 前提条件|確認。⟩\n⟨ja 三角形|面積|計算。⟩\n⟨ja 答えは|六。⟩"),
    Snippet("kanji", "ja", "⟨ja 方程式|変形。⟩\n⟨ja 両辺|二乗。⟩\n⟨ja 解|二個。⟩"),
    Snippet("kanji", "ja", "⟨ja 仮定：|整数|全体。⟩\n⟨ja 結論：|奇数|存在。⟩\n⟨ja よって|証明終了。⟩"),
    Snippet("kanji", "ja", "⟨ja 速度|計算。|時間|十分，|距離|六百米。⟩"),
    Snippet("kanji", "zh", "⟨zh 速度|计算。|时间|十分钟，|距离|六百米。⟩"),
    Snippet("kanji", "ja", "⟨zh 首先|计算|三角形|的|面积，|然后|检查|结果|是否|正确。⟩"),
    Snippet("kanji", "ja", "⟨ja 面積を|求める。⟩⟨zh 我们|知道|底边|是|六，|高|是|四。⟩⟨ja 答えは|十二です。⟩"),
    Snippet("capitals", "en", "⟨en SO WE ADD THEM ALL UP AND GET THE SUM.⟩"),
    Snippet("capitals", "zh", "⟨en THE ANSWER IS THIS ONE.⟩ ⟨zh 不|对，|再|算|一次。⟩"),
    Snippet("capitals", "de", "⟨de DAS IST FALSCH! WIR FANGEN NOCH EINMAL AN.⟩"),
    Snippet("capitals", "fr", "⟨en THIS IS WRONG! WE START AGAIN FROM THE TOP.⟩"),
    Snippet("capitals", "zh", "⟨zh 注意：⟩⟨en DO NOT ADD IT UP⟩⟨zh ，|要|相减。⟩"),
    Snippet("gibberish", "en", "⟨xx asdf qwer zxcv hjkl uiop bnmf tyru ghdk wqpo.⟩"),
    Snippet("gibberish", "en", "⟨xx Blorf nidge the splonk vraxel wumbit gloop trindle farb quizzat oblen.⟩"),
    Snippet("gibberish", "en", "⟨en We add the two numbers and get nine.⟩ ⟨xx xkcd fjdk slaq pwoe rutn vmbz lqwj.⟩"),
    Snippet("gibberish", "fr", "⟨xx lkjsd fowie nvbtr qpazm xuwev jrkto ghyqs.⟩"),
    Snippet("names", "zh", "⟨zh 根据⟩ Cauchy-Schwarz ⟨zh 不等式|和⟩ Jensen ⟨zh 不等式，|结论|成立。⟩"),
    Snippet("names", "zh", "⟨zh 用⟩ numpy ⟨zh 或者⟩ pandas ⟨zh 处理|这些|数据|比较|快。⟩"),
    Snippet("names", "ru", "⟨ru Воспользуемся библиотекой⟩ numpy ⟨ru и методом⟩ Newton-Raphson ⟨ru для решения.⟩"),
    Snippet("names", "zh", "Alice ⟨zh 有|三个|苹果，⟩Bob ⟨zh 有|五个，|所以⟩ Alice ⟨zh 比⟩ Bob ⟨zh 少|两个。⟩"),
    Snippet("names", "en", "小明 ⟨en has three apples and⟩ 小红 ⟨en has five, so together they have eight.⟩"),
    Snippet("quantities", "fr", "⟨fr Soit⟩ total = 3x + 2y ⟨fr et⟩ cost = 4x, ⟨fr alors la différence est positive.⟩"),
    Snippet("quantities", "zh", "⟨zh 长度⟩ AB = 5, BC = 12, ⟨zh 由|勾股|定理⟩ AC = 13。"),
    Snippet(
        "long",
        "zh",
        "⟨zh 好的，|让|我|想想。⟩\n\n⟨zh 首先，⟩$n$ ⟨zh 是|正|整数。|如果⟩ $n$ ⟨zh 是|偶数，|那么⟩ $n^2$ ⟨zh 也|是|偶数。⟩\n\n⟨en Wait, the problem says that n is odd. Let me read it again.⟩\n\n⟨zh 题目|说⟩ $n$ ⟨zh 是|奇数，|所以⟩ $n = 2k+1$。⟨zh 于是⟩ $n^2 = 4k(k+1) + 1$，⟨zh 除以|八|余|一。⟩",
    ),
    Snippet(
        "long",
        "de",
        "⟨de Gut, überlegen wir.⟩\n\n⟨de Die Folge beginnt mit⟩ 1, 4, 9, 16.\n\n⟨en These are the squares.⟩\n\n⟨de Also ist das nächste Glied⟩ 25.\n⟨de Passt.⟩\n\n⟨en Hmm, let me double check the differences:⟩ 3, 5, 7, 9.\n⟨de Ja, genau.⟩",
    ),
]
