"""The same programs in Promela, by hand, for SPIN.  A step of ours is a step there."""

HEAD = """\
#define lock(m) atomic { !m -> m = true }
#define unlock(m) m = false
"""


def last_zero(number: int) -> str:
    return f"""\
byte a[{number + 1}];

active proctype reader() {{
  byte i = {number};
  do
  :: a[i] != 0 -> i--
  :: else -> break
  od
}}

proctype writer(byte j) {{
  byte v;
  v = a[j - 1];
  a[j] = v + 1
}}

{_start("writer", 1, number)}"""


def philosophers(number: int) -> str:
    return f"""\
{HEAD}bool fork[{number}];

proctype eat(byte i) {{
  lock(fork[i]);
  lock(fork[(i + 1) % {number}]);
  unlock(fork[(i + 1) % {number}]);
  unlock(fork[i])
}}

{_start("eat", 0, number - 1)}"""


def counter(number: int) -> str:
    return f"""\
{HEAD}bool m;
byte x;

proctype count(byte i) {{
  byte v;
  lock(m);
  v = x;
  x = v + 1;
  unlock(m)
}}

{_start("count", 0, number - 1)}"""


def readers(number: int) -> str:
    return f"""\
byte x;

active proctype writer() {{
  x = 1
}}

proctype reader(byte i) {{
  byte v;
  v = x
}}

{_start("reader", 0, number - 1)}"""


def _start(name: str, first: int, last: int) -> str:
    runs = "; ".join(f"run {name}({number})" for number in range(first, last + 1))
    return f"init {{ atomic {{ {runs} }} }}\n"


MAKERS = {
    "lastzero": last_zero,
    "philosophers": philosophers,
    "counter": counter,
    "readers": readers,
}


def promela(name: str) -> str | None:
    """The model of a program by its name in programs.py, if there is one."""
    maker, _, numbers = name.rstrip(")").partition("(")
    return MAKERS[maker](int(numbers)) if maker in MAKERS else None
