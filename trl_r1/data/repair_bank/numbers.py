"""Whole numbers and a little geometry."""

import math
from typing import Any


def gcd(a: int, b: int) -> int:
    """Return the greatest common divisor."""
    while b:
        a, b = b, a % b
    return abs(a)


def lcm(a: int, b: int) -> int:
    """Return the least common multiple, 0 if one of the numbers is."""
    if a == 0 or b == 0:
        return 0
    return abs(a * b) // gcd(a, b)


def reduce_fraction(numerator: int, denominator: int) -> tuple[int, int]:
    """Reduce a fraction; the denominator of the result is positive."""
    divisor = gcd(numerator, denominator)
    if denominator < 0:
        divisor = -divisor
    return numerator // divisor, denominator // divisor


def is_prime(number: int) -> bool:
    """Tell whether a number is prime."""
    if number < 2:
        return False
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return True


def primes_below(limit: int) -> list[int]:
    """Return all primes smaller than a limit."""
    return [number for number in range(2, limit) if is_prime(number)]


def prime_factors(number: int) -> list[int]:
    """Return the prime factors of a number in rising order, each as often as it divides."""
    factors = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    if number > 1:
        factors.append(number)
    return factors


def digit_sum(number: int) -> int:
    """Return the sum of the decimal digits, whatever the sign."""
    number = abs(number)
    total = 0
    while number:
        total += number % 10
        number //= 10
    return total


def digital_root(number: int) -> int:
    """Take digit sums until one digit is left."""
    while number >= 10:
        number = digit_sum(number)
    return number


def to_base(number: int, base: int) -> str:
    """Write a number that is not negative in a base from 2 to 16."""
    digits = "0123456789abcdef"
    if number == 0:
        return "0"
    text = ""
    while number > 0:
        text = digits[number % base] + text
        number //= base
    return text


def to_roman(number: int) -> str:
    """Write a number from 1 to 3999 in Roman numerals."""
    values = [1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1]
    letters = ["M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"]
    text = ""
    for value, letter in zip(values, letters, strict=True):
        while number >= value:
            text += letter
            number -= value
    return text


def fibonacci(index: int) -> int:
    """Return the Fibonacci number of an index; the first two, of 0 and 1, are 0 and 1."""
    a, b = 0, 1
    for _ in range(index):
        a, b = b, a + b
    return a


def collatz_steps(number: int) -> int:
    """Count the steps to 1: an even number is halved, an odd one tripled and increased by one."""
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


def binomial(n: int, k: int) -> int:
    """Return in how many ways k of n things can be chosen."""
    if k < 0 or k > n:
        return 0
    result = 1
    for i in range(k):
        result = result * (n - i) // (i + 1)
    return result


def power_mod(base: int, exponent: int, modulus: int) -> int:
    """Return a power modulo a number, by repeated squaring."""
    result = 1
    base = base % modulus
    while exponent > 0:
        if exponent % 2 == 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent //= 2
    return result % modulus


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the straight distance between two points."""
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


def perimeter(points: list[tuple[float, float]]) -> float:
    """Return the length of the closed line through all points."""
    total = 0.0
    for index, point in enumerate(points):
        total += distance(point, points[(index + 1) % len(points)])
    return total


def area(points: list[tuple[float, float]]) -> float:
    """Return the area of a polygon that does not cross itself."""
    twice = 0.0
    for index, (x, y) in enumerate(points):
        next_x, next_y = points[(index + 1) % len(points)]
        twice += x * next_y - next_x * y
    return abs(twice) / 2


INPUTS: dict[str, list[tuple[Any, ...]]] = {
    "gcd": [(12, 18), (7, 5), (0, 4), (9, 0), (-8, 12), (6, 6)],
    "lcm": [(4, 6), (0, 5), (7, 7), (-3, 5), (5, 0)],
    "reduce_fraction": [(6, 8), (3, -9), (0, 5), (7, 1), (-4, -6)],
    "is_prime": [(2,), (1,), (9,), (13,), (25,), (0,), (97,)],
    "primes_below": [(10,), (2,), (3,), (30,), (0,)],
    "prime_factors": [(12,), (13,), (1,), (49,), (360,)],
    "digit_sum": [(123,), (0,), (-45,), (1000,), (99,)],
    "digital_root": [(9875,), (9,), (10,), (0,), (199,)],
    "to_base": [(10, 2), (0, 8), (255, 16), (7, 7), (100, 10)],
    "to_roman": [(4,), (9,), (1994,), (3888,), (40,), (1,)],
    "fibonacci": [(0,), (1,), (2,), (10,), (7,)],
    "collatz_steps": [(1,), (6,), (7,), (8,)],
    "binomial": [(5, 2), (5, 0), (5, 5), (4, 6), (10, 3), (3, -1)],
    "power_mod": [(2, 10, 1000), (3, 0, 7), (5, 3, 13), (7, 5, 1), (10, 9, 6)],
    "distance": [((0.0, 0.0), (3.0, 4.0)), ((1.0, 1.0), (1.0, 1.0)), ((-1.0, 2.0), (2.0, -2.0))],
    "perimeter": [([(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)],), ([],), ([(0.0, 0.0), (0.0, 2.0)],)],
    "area": [([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)],), ([(0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0)],), ([],)],
}
