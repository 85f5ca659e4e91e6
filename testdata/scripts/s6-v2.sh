#%% /init
#!/bin/execlineb -S0
/etc/s6/init/init-stage1 $@
#%% /bin/execlineb
ELF
