from trl_r1.verifiers.cache import JudgementCache


def test_the_one_not_asked_for_the_longest_is_dropped_first():
    cache = JudgementCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_a_new_judgement_takes_the_place_of_the_old():
    cache = JudgementCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert (cache.get("a"), cache.get("b")) == (3, None)
    cache.clear()
    assert cache.get("a") is None
