# header_alone.sh HEADER CC: the header compiles alone, as pedantic C99, C11 and, where there is a C++
# compiler, as C++11.
set -e
header=$1 cc=$2
for standard in c99 c11; do
    "$cc" -std=$standard -pedantic-errors -Wall -Wextra -Wstrict-prototypes -Werror -fsyntax-only -x c "$header"
done
if command -v c++ >/dev/null; then
    c++ -std=c++11 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -x c++ "$header"
else
    echo "skipped: C++, for which there is no compiler here"
    exit 77
fi
