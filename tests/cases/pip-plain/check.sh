. "$CASES/words.sh"
right "the image's Python cannot import it" chroot "$ROOT" /usr/bin/python3 -B -c 'import case_words'
