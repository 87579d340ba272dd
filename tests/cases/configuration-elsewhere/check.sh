. "$CASES/words.sh"
there /etc/nginx/conf.d/own.conf /etc/nginx/conf.d/address.conf
