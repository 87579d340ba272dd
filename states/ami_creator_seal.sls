# What an image must not take along: identity, and the residue of its making.
# Extend the list with states of your own; patterns are resolved inside the root, ** stands for any depth.

the machine id is empty, and made at first boot:
  vm_image.sealed:
    - truncate:
      - /etc/machine-id
    - remove:
      - /var/lib/dbus/machine-id

ssh host keys are removed, and made at first boot:
  vm_image.sealed:
    - remove:
      - /etc/ssh/ssh_host_*_key
      - /etc/ssh/ssh_host_*_key.pub
      - /etc/dropbear/dropbear_*_host_key

the random seed is removed:
  vm_image.sealed:
    - remove:
      - /var/lib/systemd/random-seed
      - /var/lib/systemd/credential.secret
      - /var/lib/urandom/random-seed

logs are empty:
  vm_image.sealed:
    - remove:
      - /var/log/**/*.gz
      - /var/log/**/*.[0-9]
      - /var/log/*.gz
      - /var/log/*.[0-9]
      - /var/log/journal/*
      - /var/log/installer
    - truncate:
      - /var/log/*
      - /var/log/**/*

shell history and caches of users are removed:
  vm_image.sealed:
    - remove:
      - /root/.*_history
      - /home/*/.*_history
      - /root/.cache
      - /root/.wget-hsts
      - /root/.lesshst

apt lists and archives are removed:
  vm_image.sealed:
    - remove:
      - /var/lib/apt/lists/*
      - /var/cache/apt/archives/*.deb
      - /var/cache/apt/archives/partial/*
      - /var/cache/apt/archives/lock
      - /var/cache/apt/*.bin
      - /var/cache/debconf/*-old
      - /var/lib/dpkg/*-old

leases and names of network cards are removed:
  vm_image.sealed:
    - remove:
      - /var/lib/dhcp/*
      - /var/lib/dhcpcd/*.lease
      - /var/lib/NetworkManager/*
      - /var/lib/systemd/network/*
      - /etc/udev/rules.d/70-persistent-net.rules
      - /etc/udev/rules.d/*persistent-net*.rules

the state of cloud-init is removed:
  vm_image.sealed:
    - remove:
      - /var/lib/cloud/data
      - /var/lib/cloud/instance
      - /var/lib/cloud/instances
      - /var/lib/cloud/sem
      - /etc/netplan/50-cloud-init.yaml
      - /etc/network/interfaces.d/50-cloud-init

the identity of a Salt minion is removed:
  vm_image.sealed:
    - remove:
      - /etc/salt/minion_id
      - /etc/salt/pki/minion/minion.pem
      - /etc/salt/pki/minion/minion.pub
      - /var/cache/salt/minion/*

temporary files are removed:
  vm_image.sealed:
    - remove:
      - /tmp/*
      - /tmp/.[!.]*
      - /var/tmp/*
      - /run/*

# what packages draw by lot when they are installed; _utils/vmimage/image/drawn.py has the units that make it at the first boot. A key that the
# variation brings, such as that of a cluster, is not drawn, and stays.
the keys and names that packages have drawn are removed:
  vm_image.sealed:
    - keep_written: True
    - remove:
      - /etc/ssl/private/ssl-cert-snakeoil.key
      - /etc/ssl/certs/ssl-cert-snakeoil.pem
      - /etc/iscsi/initiatorname.iscsi
      - /etc/nvme/hostnqn
      - /etc/nvme/hostid
      - /etc/bind/rndc.key
      - /etc/munge/munge.key
      - /etc/xrdp/rsakeys.ini
      - /etc/.git
      - /var/lib/dkms/mok.*
      - /var/lib/shim-signed/mok/MOK.*
      - /var/lib/mysql/auto.cnf
      # with which whoever knows it commands an Erlang node, of RabbitMQ and others; made when the node starts
      - /var/lib/*/.erlang.cookie
