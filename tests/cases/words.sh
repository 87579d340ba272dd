# Words for check.sh: . "$CASES/words.sh". Each says what is wrong; the exit code of the script is 1 where anything is.
ROOT=$1 MANIFEST=$2 RAMDISK=$3
found_wrong=0 looked=0
trap 'code=$?; [ $code = 0 ] || { echo "check.sh ended with $code"; exit $code; }; [ $looked -gt 0 ] || exit 2; exit $found_wrong' EXIT

right() { # WHAT COMMAND...: the command succeeds
    local what=$1
    shift
    looked=$((looked + 1))
    "$@" > /dev/null 2>&1 || { echo "wrong: $what"; found_wrong=1; }
}
not() { ! "$@"; }
has() { # FILE LINE: the image's file has exactly this line
    right "$1 is to have the line '$2', and has: $(head -c 400 "$ROOT$1" 2>&1)" grep -qxF -- "$2" "$ROOT$1"
}
there() { local path; for path; do right "$path is missing" test -e "$ROOT$path"; done; }
gone() { local path; for path; do right "$path is there" not test -e "$ROOT$path"; done; }
link() { # PATH TARGET
    right "$1 is to lead to $2, and leads to $(readlink "$ROOT$1")" test "$(readlink "$ROOT$1")" = "$2"
}
mode() { # PATH MODE
    right "$1 is to have mode $2, and has $(stat -c %a "$ROOT$1" 2>&1)" test "$(stat -c %a "$ROOT$1")" = "$2"
}
is_in() { # DIRECTORY NAME-PATTERN
    right "no $2 below $1" test -n "$(find "$ROOT$1" -name "$2" -print -quit 2> /dev/null)"
}
ramdisk_has() { # MODULE
    cp "$RAMDISK" "$ROOT/tmp/ramdisk"
    right "no module $1 in the ramdisk" sh -c "chroot '$ROOT' lsinitramfs /tmp/ramdisk | grep -q '/$1[.]ko'"
}
