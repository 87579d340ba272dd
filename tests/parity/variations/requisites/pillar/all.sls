there: yes
