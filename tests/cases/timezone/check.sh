. "$CASES/words.sh"
link /etc/localtime /usr/share/zoneinfo/Asia/Tokyo
has /etc/timezone Asia/Tokyo
