. "$CASES/words.sh"
there /etc/salt/minion.d/10-master.conf /etc/salt/grains
has /etc/salt/pki/minion/minion_master.pub 'key of the master'
has /etc/salt/pki/minion/master_sign.pub 'key that signs'
gone /etc/salt/pki/minion/minion.pem /etc/salt/pki/minion/minion.pub /etc/salt/minion_id
