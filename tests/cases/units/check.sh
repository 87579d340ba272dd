. "$CASES/words.sh"
etc=/etc/systemd/system
for wanted in multi-user.target.wants/local.service multi-user.target.wants/pool@one.service 'multi-user.target.wants/dash\x2dname.service' \
    multi-user.target.wants/srv-far.automount slices.target.wants/small.slice timers.target.wants/noon.timer multi-user.target.wants/ssh.service; do
    right "$wanted is not there" test -L "$ROOT$etc/$wanted"
done
for level in 2 3 5; do right "rusty does not start in level $level" sh -c "ls '$ROOT'/etc/rc$level.d/S??rusty"; done
link $etc/apt-daily.timer /dev/null
right "timesyncd is enabled" not test -e "$ROOT$etc/sysinit.target.wants/systemd-timesyncd.service" -o -L "$ROOT$etc/sysinit.target.wants/systemd-timesyncd.service"
right "something is enabled twice" not test -L "$ROOT$etc/multi-user.target.wants/sshd.service"
