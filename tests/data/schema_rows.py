"""
A few rows in each of the field's schemas, written for these tests.

Columns are those of the data sets named, as code that reads them has it: GSM8K, MATH, DeepScaleR, aime_2024, AIME 2024
with capitals, NuminaMath-CoT and 1.5, OpenR1-Math-220k, Mixture-of-Thoughts, DAPO-Math-17k, MMLU, ARC, Intel's
orca_dpo_pairs, ultrafeedback_binarized. Nothing but their columns is taken from them.
"""

QUESTION = "How many legs have 3 dogs?"
TRACE = "<think>\nEach has 4, so 12.\n</think>\n\nThey have \\boxed{12} legs."


def chat(*texts):
    return [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 4, texts, strict=False)]


GSM8K = [
    {"question": QUESTION, "answer": "Each has 4 legs.\n3 * 4 = <<3*4=12>>12 legs.\n#### 12"},
    {"question": "And 1,000 dogs more than that?", "answer": "4000 + 12 = <<4000+12=4012>>4012\n#### $4,012"},
    {"question": "How many heads?", "answer": "Nobody marked this one. 3"},
]
MATH = [
    {"problem": QUESTION, "level": "Level 1", "type": "Algebra", "solution": "We see $3 \\cdot 4 = \\boxed{12}$."},
    {
        "problem": "Half?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": "First \\boxed{0}, then $\\boxed{\\frac{1}{2}}$.",
    },
]
NUMINA_COT = [
    {"source": "olympiads", **{k: MATH[0][k] for k in ("problem", "solution")}, "messages": chat(QUESTION, "12")}
]
NUMINA_15 = [
    {"problem": QUESTION, "solution": "4 each.", "answer": "12", "question_type": "math-word-problem"},
    {"problem": "Prove it.", "solution": "QED", "answer": "proof", "question_type": "proof"},
    {"problem": "Find it.", "solution": "?", "answer": "notfound", "question_type": "math-word-problem"},
]
DEEPSCALER = [{"problem": QUESTION, "answer": "12", "solution": ""}]
AIME_HF = [{"id": 60, "problem": QUESTION, "solution": "4 each.", "answer": "012", "url": "u", "year": "2024"}]
AIME_CAPITALS = [{"ID": "2024-I-1", "Problem": QUESTION, "Solution": "4 each.", "Answer": 12}]
OPENR1 = [
    {
        "problem": QUESTION,
        "solution": "4 each.",
        "answer": "12",
        "problem_type": "Algebra",
        "question_type": "math-word-problem",
        "source": "olympiads",
        "uuid": "a",
        "is_reasoning_complete": [True, True, False, True, True],
        "generations": [TRACE, TRACE.replace("12", "13"), "<think> cut", TRACE + " Indeed.", " "],
        "correctness_math_verify": [True, False, True, False, True],
        "correctness_llama": [None, None, None, True, None],
        "finish_reasons": None,
        "correctness_count": 2,
        "messages": chat(QUESTION, TRACE),
    },
    {
        "problem": "Nobody tried.",
        "solution": "",
        "answer": None,
        "problem_type": None,
        "question_type": None,
        "source": "olympiads",
        "uuid": "b",
        "is_reasoning_complete": [],
        "generations": [],
        "correctness_math_verify": [],
        "correctness_llama": None,
        "finish_reasons": None,
        "correctness_count": 0,
        "messages": chat("Nobody tried.", "?"),
    },
]
MIXTURE_OF_THOUGHTS = [{"messages": chat(QUESTION, TRACE), "num_tokens": 17, "source": "open-r1/OpenR1-Math-220k"}]
DAPO = [
    {
        "data_source": "math_dapo",
        "prompt": chat(
            "Solve the following math problem step by step. The last line of your response should be of the form "
            "Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
            f'{QUESTION}\n\nRemember to put your answer on its own line after "Answer:".'
        ),
        "ability": "MATH",
        "reward_model": {"ground_truth": "12", "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": "a"},
    },
    {
        "data_source": "math_dapo",
        "prompt": chat("Unasked"),
        "ability": "MATH",
        "reward_model": {"ground_truth": None, "style": "rule"},
        "extra_info": {"index": "b"},
    },
]
MMLU = [{"question": "Which is a dog?", "subject": "zoology", "choices": ["cat", "poodle", "cow", "hen"], "answer": 1}]
ARC = [
    {
        "id": "a",
        "question": "Which is a dog?",
        "choices": {"text": ["cat", "cow", "poodle"], "label": ["1", "2", "3"]},
        "answerKey": "3",
    },
    {"id": "b", "question": "Which?", "choices": {"text": ["cat", "cow"], "label": ["A", "B"]}, "answerKey": "E"},
]
OPTIONS = [{"problem": "Which is a dog?", "options": ["cat", "poodle"], "answer": "poodle", "solution": "It barks."}]
ORCA = [
    {"system": "Be kind.", "question": "hello ?", "chosen": "hello friend", "rejected": "go away"},
    {"system": "", "question": "hello ?", "chosen": "hi", "rejected": "away"},
]
ULTRAFEEDBACK = [
    {
        "prompt": "hello ?",
        "prompt_id": "a",
        "chosen": chat("hello ?", "hello friend"),
        "rejected": chat("hello ?", "go away"),
        "messages": chat("hello ?", "hello friend"),
        "score_chosen": 9.0,
        "score_rejected": 1.0,
    },
    {
        "prompt": "again ?",
        "prompt_id": "b",
        "chosen": chat("hello ?", "hi", "again ?", "yes"),
        "rejected": chat("hello ?", "hi", "again ?", "no"),
        "messages": chat("hello ?", "hi"),
        "score_chosen": 9.0,
        "score_rejected": 1.0,
    },
]
