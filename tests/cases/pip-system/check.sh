. "$CASES/words.sh"
right "the system's Python cannot import it" chroot "$ROOT" /usr/bin/python3 -B -c 'import case_words'
right "the program of the venv does not run" chroot "$ROOT" /srv/venv/bin/case-words
right "a path of the build is in $(grep -rlI /run/vm_create "$ROOT"/srv/venv "$ROOT"/usr/local)" not grep -rqI /run/vm_create "$ROOT/srv/venv/bin" "$ROOT/srv/venv/pyvenv.cfg" "$ROOT/usr/local"
