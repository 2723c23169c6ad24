// Package cli parses QEMU's command line: single-dash options from one table, comma separated key=value lists and JSON. It
// fills a config.VM and starts nothing.
package cli

// option is one row of the option table.
type option struct {
	name  string
	alias string // a second name
	arg   bool   // takes a value
	help  string // the text after the name in -help
	apply func(p *parser, value string) error
}

// section is a group of rows under one heading of -help.
type section struct {
	title string
	rows  []option
}

// sections is the option table. A row here is an option that works; there are no others.
func sections() []section {
	return []section{
		{"Standard options:", []option{
			{name: "h", help: " or -help     display this help and exit", apply: (*parser).help},
			{name: "help", apply: (*parser).help},
			{name: "version", help: "        display version information and exit", apply: (*parser).version},
			{name: "machine", alias: "M", arg: true, help: helpMachine, apply: (*parser).machine},
			{name: "cpu", arg: true, help: " cpu        select CPU ('-cpu help' for list)", apply: (*parser).cpu},
			{name: "accel", arg: true, help: helpAccel, apply: (*parser).accel},
			{name: "smp", arg: true, help: helpSMP, apply: (*parser).smp},
			{name: "overcommit", arg: true, help: " [mem-lock=on|off][,cpu-pm=on|off]\n                run with overcommit hints\n                mem-lock=on|off controls memory lock support (default: off)\n                cpu-pm=on|off is for hardware virtualization and has no effect", apply: (*parser).overcommit},
			{name: "numa", arg: true, help: helpNUMA, apply: (*parser).numa},
			{name: "set", arg: true, help: " group.id.arg=value\n                set <arg> parameter for item <id> of type <group>\n                i.e. -set drive.$id.file=/path/to/image", apply: (*parser).set},
			{name: "global", arg: true, help: " driver.property=value\n-global driver=driver,property=property,value=value\n                set a global default for a driver property", apply: (*parser).global},
			{name: "boot", arg: true, help: " [order=drives][,once=drives][,menu=on|off]\n      [,splash=sp_name][,splash-time=sp_time][,reboot-timeout=rb_time][,strict=on|off]\n                'drives': floppy (a), hard disk (c), CD-ROM (d), network (n)\n                'sp_name': the file name of the picture shown while menu=on, JPEG or BMP of 24 bits a pixel\n                'sp_time': the period that the boot menu waits if menu=on, unit is ms\n                'rb_timeout': the timeout before guest reboot when boot failed, unit is ms", apply: (*parser).boot},
			{name: "m", arg: true, help: " [size=]megs[,slots=n,maxmem=size]\n                configure guest RAM\n                size: initial amount of guest memory\n                slots: number of hotplug slots (default: none)\n                maxmem: maximum amount of guest memory (default: none)", apply: (*parser).memory},
			{name: "mem-path", arg: true, help: " FILE     provide backing storage for guest RAM", apply: func(p *parser, v string) error { p.VM.MemPath = v; return nil }},
			{name: "mem-prealloc", help: "   preallocate guest memory (use with -mem-path)", apply: func(p *parser, _ string) error { p.VM.MemPrealloc = true; return nil }},
			{name: "name", arg: true, help: " string[,process=name][,debug-threads=on|off]\n                string sets the name of the guest, name the one of the process", apply: (*parser).vmName},
			{name: "uuid", arg: true, help: " %08x-%04x-%04x-%04x-%012x\n                specify machine UUID", apply: (*parser).uuid},
			{name: "k", arg: true, help: " language     use keyboard layout (for example 'fr' for French)", apply: func(p *parser, v string) error { p.VM.Keyboard = v; return nil }},
			{name: "audiodev", arg: true, help: " none,id=id[,timer-period=us][,in|out.prop=value]\n                dummy driver that discards all output", apply: (*parser).audiodev},
			{name: "device", arg: true, help: " driver[,prop[=value][,...]]\n                add device (based on driver)\n                prop=value,... sets driver properties\n                use '-device help' to print all possible drivers\n                use '-device driver,help' to print all possible properties", apply: (*parser).device},
		}},
		{"Block device options:", []option{
			{name: "blockdev", arg: true, help: " [driver=]driver[,node-name=N][,read-only=on|off]\n          [,cache.direct=on|off][,cache.no-flush=on|off][,discard=ignore|unmap]\n                configure a block backend", apply: (*parser).blockdev},
			{name: "drive", arg: true, help: " [file=file][,if=type][,id=name][,format=f][,cache=writethrough|writeback|none|directsync|unsafe]\n       [,snapshot=on|off][,readonly=on|off][,discard=ignore|unmap][,aio=threads]\n                use 'file' as a drive image", apply: (*parser).drive},
			{name: "fda", arg: true, help: "/-fdb file  use 'file' as floppy disk 0/1 image", apply: floppy(0)},
			{name: "fdb", arg: true, apply: floppy(1)},
			{name: "hda", arg: true, help: "/-hdb file  use 'file' as hard disk 0/1 image", apply: disk(0)},
			{name: "hdb", arg: true, apply: disk(1)},
			{name: "hdc", arg: true, help: "/-hdd file  use 'file' as hard disk 2/3 image", apply: disk(2)},
			{name: "hdd", arg: true, apply: disk(3)},
			{name: "cdrom", arg: true, help: " file     use 'file' as CD-ROM image", apply: cdrom},
			{name: "fsdev", arg: true, help: helpFSDev, apply: (*parser).fsdev},
			{name: "virtfs", arg: true, help: helpVirtFS, apply: (*parser).virtfs},
			{name: "pflash", arg: true, help: " file     use 'file' as a parallel flash image", apply: pflash},
			{name: "snapshot", help: "       write to temporary files instead of disk image files", apply: (*parser).snapshot},
		}},
		{"USB convenience options:", []option{
			{name: "usb", help: "            enable on-board USB host controller (if not enabled by default)", apply: (*parser).usb},
			{name: "usbdevice", arg: true, help: " name  add the host or guest USB device 'name' (keyboard, mouse, tablet)", apply: (*parser).usbDevice},
		}},
		{"Display options:", []option{
			{name: "display", arg: true, help: " none\n-display curses[,charset=<encoding>]\n-display vnc=<display>[,<optargs>]\n                select display backend type", apply: (*parser).display},
			{name: "curses", help: "         shorthand for -display curses", apply: (*parser).curses},
			{name: "nographic", help: "      disable graphical output and redirect serial I/Os to console", apply: (*parser).nographic},
			{name: "vnc", arg: true, help: " <display>  shorthand for -display vnc=<display>", apply: (*parser).vnc},
			{name: "vga", arg: true, help: " [std|none]\n                select video card type", apply: (*parser).vga},
		}},
		{"x86-64 target only:", []option{
			{name: "no-fd-bootchk", help: " disable boot signature checking for floppy disks", apply: (*parser).noFloppyCheck},
			{name: "no-acpi", help: "        disable ACPI", apply: (*parser).noACPI},
			{name: "no-hpet", help: "        disable HPET", apply: (*parser).noHPET},
			{name: "acpitable", arg: true, help: " [sig=str][,rev=n][,oem_id=str][,oem_table_id=str][,oem_rev=n][,asl_compiler_id=str][,asl_compiler_rev=n][,{data|file}=file1[:file2]...]\n                ACPI table description", apply: (*parser).acpiTable},
			{name: "smbios", arg: true, help: " file=binary\n                load SMBIOS entry from binary file\n-smbios type=0|1|2|3|4|8|11|17|41[,field=value][,...]\n                specify SMBIOS fields; of type 11 value=str or path=file", apply: (*parser).smbios},
		}},
		{"Network options:", []option{
			{name: "netdev", arg: true, help: helpNetdev, apply: func(p *parser, v string) error { return p.network(&p.VM.Netdevs, v) }},
			{name: "nic", arg: true, help: helpNIC, apply: func(p *parser, v string) error { return p.network(&p.VM.NICs, v) }},
			{name: "net", arg: true, help: helpNet, apply: func(p *parser, v string) error { return p.network(&p.VM.Nets, v) }},
		}},
		{"Character device options:", []option{
			{name: "chardev", arg: true, help: " help\n-chardev null|stdio|file|pipe|pty|socket|udp|ringbuf|serial|vc,id=id[,mux=on|off][,logfile=PATH][,logappend=on|off][,...]\n-chardev socket,id=id[,host=host],port=port[,to=to][,ipv4=on|off][,ipv6=on|off][,nodelay=on|off]\n         [,server=on|off][,wait=on|off][,telnet=on|off][,websocket=on|off][,reconnect=seconds]\n         [,tls-creds=ID][,tls-authz=ID] (tcp)\n-chardev socket,id=id,path=path[,server=on|off][,wait=on|off][,reconnect=seconds][,abstract=on|off] (unix)\n-chardev socket,id=id,fd=fd[,server=on|off][,wait=on|off]\n-chardev udp,id=id[,host=host],port=port[,localaddr=localaddr][,localport=localport]\n-chardev mux,id=id,chardev=id", apply: (*parser).chardev},
		}},
		{"Boot Image or Kernel specific:", []option{
			{name: "bios", arg: true, help: " file       set the filename for the BIOS", apply: (*parser).bios},
			{name: "option-rom", arg: true, help: " rom  load a file, 'rom', into the option ROM space", apply: (*parser).optionROM},
			{name: "kernel", arg: true, help: " bzImage  use 'bzImage' as kernel image", apply: (*parser).kernel},
			{name: "append", arg: true, help: " cmdline  use 'cmdline' as kernel command line", apply: (*parser).append},
			{name: "initrd", arg: true, help: " file     use 'file' as initial ram disk", apply: (*parser).initrd},
		}},
		{"Debug/Expert options:", []option{
			{name: "serial", arg: true, help: " dev      redirect the serial port to char device 'dev'", apply: (*parser).serial},
			{name: "parallel", arg: true, help: " dev    redirect the parallel port to char device 'dev'", apply: (*parser).parallel},
			{name: "add-fd", arg: true, help: " fd=fd,set=set[,opaque=opaque]\n                Add 'fd' to fd 'set'", apply: (*parser).addFD},
			{name: "monitor", arg: true, help: " dev     redirect the monitor to char device 'dev'", apply: (*parser).monitor},
			{name: "qmp", arg: true, help: " dev         like -monitor but opens in 'control' mode", apply: (*parser).qmp},
			{name: "qmp-pretty", arg: true, help: " dev  like -qmp but uses pretty JSON formatting", apply: (*parser).qmpPretty},
			{name: "mon", arg: true, help: " [chardev=]name[,mode=readline|control][,pretty[=on|off]]", apply: (*parser).mon},
			{name: "debugcon", arg: true, help: " dev    redirect the debug console to char device 'dev'", apply: (*parser).debugcon},
			{name: "echr", arg: true, help: " chr        set terminal escape character instead of ctrl-a", apply: (*parser).echr},
			{name: "pidfile", arg: true, help: " file    write PID to 'file'", apply: (*parser).pidfile},
			{name: "singlestep", help: "     always run in singlestep mode", apply: (*parser).singleStep},
			{name: "preconfig", help: "      pause QEMU before machine is initialized (experimental)", apply: (*parser).preconfig},
			{name: "S", help: "              freeze CPU at startup", apply: (*parser).paused},
			{name: "loadvm", arg: true, help: " [tag|id]\n                start right away with a saved state (loadvm in monitor)", apply: (*parser).loadVM},
			{name: "incoming", arg: true, help: helpIncoming, apply: (*parser).incoming},
			{name: "only-migratable", help: " allow only migratable devices", apply: (*parser).onlyMigratable},
			{name: "dump-vmstate", arg: true, help: " <file>\n                Output vmstate information in JSON format to file.\n                Use the scripts/vmstate-static-checker.py file to\n                check for possible regressions in migration code\n                by comparing two such vmstate dumps.", apply: (*parser).dumpVMState},
			{name: "d", arg: true, help: " item1,...     enable logging of specified items (use '-d help' for a list of log items)", apply: (*parser).logItems},
			{name: "D", arg: true, help: " logfile       output log to logfile (default stderr)", apply: (*parser).logFile},
			{name: "L", arg: true, help: " path          set the directory for the BIOS and option ROMs ('help' shows all of them)", apply: (*parser).dataDir},
			{name: "no-reboot", help: "      exit instead of rebooting", apply: (*parser).noReboot},
			{name: "no-shutdown", help: "    stop before shutdown", apply: (*parser).noShutdown},
			{name: "action", arg: true, help: " reboot=reset|shutdown\n                action when guest reboots [default=reset]\n-action shutdown=poweroff|pause\n                action when guest shuts down [default=poweroff]\n-action panic=pause|shutdown|exit-failure|none\n                action when guest panics [default=shutdown]\n-action watchdog=reset|shutdown|poweroff|inject-nmi|pause|debug|none\n                action when watchdog fires [default=reset]", apply: (*parser).action},
			{name: "watchdog-action", arg: true, help: " reset|shutdown|poweroff|inject-nmi|pause|debug|none\n                action when watchdog fires [default=reset]", apply: (*parser).watchdogAction},
			{name: "trace", arg: true, help: " [[enable=]<pattern>][,events=<file>][,file=<file>]\n                specify tracing options", apply: (*parser).trace},
			{name: "rtc", arg: true, help: " [base=utc|localtime|<datetime>][,clock=host|rt|vm][,driftfix=none|slew]\n                set the RTC base and clock, enable drift fix for clock ticks", apply: (*parser).rtc},
			{name: "runas", arg: true, help: " user      change to user id 'user' just before starting the VM\n                user can be numeric uid:gid instead", apply: (*parser).runAs},
			{name: "chroot", arg: true, help: " dir      chroot to 'dir' just before starting the VM", apply: (*parser).chroot},
			{name: "daemonize", help: "      daemonize QEMU after initializing", apply: (*parser).daemonize},
			{name: "nodefaults", help: "     don't create default devices", apply: (*parser).nodefaults},
			{name: "no-user-config", help: " don't load default user-provided config files at startup", apply: ignore},
			{name: "msg", arg: true, help: " [timestamp[=on|off]][,guest-name=[on|off]]\n                control error message format\n                timestamp=on enables timestamps (default: off)\n                guest-name=on enables guest name prefix but only if\n                              -name guest option is set (default: off)", apply: (*parser).msg},
			{name: "compat", arg: true, help: helpCompat, apply: (*parser).compat},
			{name: "sandbox", arg: true, help: helpSandbox, apply: (*parser).sandbox},
			{name: "enable-kvm", help: "     the same as -accel kvm", apply: func(p *parser, _ string) error { return p.accel("kvm") }},
			{name: "gdb", arg: true, help: " dev         accept gdb connection on 'dev'. (gdb defaults to starting\n                the guest without waiting for gdb to connect; use -S too\n                if you want it to not start execution.)", apply: (*parser).gdb},
			{name: "s", help: "              shorthand for -gdb tcp::1234", apply: func(p *parser, _ string) error { return p.gdb("tcp::1234") }},
			{name: "qtest", arg: true, help: " CHR      drive the machine by the qtest protocol on character device CHR", apply: (*parser).qtest},
			{name: "qtest-log", arg: true, help: " LOG  log what is said there to file LOG ('none' for no log, default stderr)", apply: (*parser).qtestLog},
			{name: "readconfig", arg: true, help: " <file>\n                read config file", apply: (*parser).readconfig},
			{name: "fw_cfg", arg: true, help: " [name=]<name>,file=<file>\n                add named fw_cfg entry with contents from file\n-fw_cfg [name=]<name>,string=<str>\n                add named fw_cfg entry with contents from string", apply: (*parser).fwCfg},
			{name: "object", arg: true, help: " TYPENAME[,PROP1=VALUE1,...]\n                create a new object of type TYPENAME setting properties\n                in the order they are specified", apply: (*parser).object},
		}},
	}
}

const helpMachine = ` [type=]name[,prop[=value][,...]]
                selects emulated machine ('-machine help' for list,
                '-machine name,help' for its properties)
                property accel=accel1[:accel2[:...]] selects accelerator`

const helpNUMA = ` node[,mem=size][,cpus=firstcpu[-lastcpu]][,nodeid=node][,initiator=node]
-numa node[,memdev=id][,cpus=firstcpu[-lastcpu]][,nodeid=node][,initiator=node]
-numa dist,src=source,dst=destination,val=distance
-numa cpu,node-id=node[,socket-id=x][,core-id=y][,thread-id=z]
-numa hmat-lb,initiator=node,target=node,hierarchy=memory|first-level|second-level|third-level,data-type=access-latency|read-latency|write-latency[,latency=lat][,bandwidth=bw]
-numa hmat-cache,node-id=node,size=size,level=level[,associativity=none|direct|complex][,policy=none|write-back|write-through][,line=size]`

const helpFSDev = ` local,id=id,path=path,security_model=mapped-xattr|mapped-file|passthrough|none
 [,writeout=immediate][,readonly=on][,fmode=fmode][,dmode=dmode][,multidevs=remap|forbid|warn]
-fsdev synth,id=id
                a directory of the host for a 9P device`

const helpVirtFS = ` local,path=path,mount_tag=tag,security_model=mapped-xattr|mapped-file|passthrough|none
        [,id=id][,writeout=immediate][,readonly=on][,fmode=fmode][,dmode=dmode][,multidevs=remap|forbid|warn]
-virtfs synth,mount_tag=tag[,id=id]
                a directory of the host in the guest: the same with its device`

const helpAccel = ` [accel=]accelerator[,prop[=value][,...]]
-accel accel1[:accel2[:...]]
                select accelerator (use 'help' for a list); given several times or as a list, the later ones are fall-backs
                engine=jit|interp (how TCG executes translated code)
                kernel-irqchip=on|off|split controls accelerated irqchip support of KVM (default=on)
                kvm-shadow-mem=size of KVM shadow MMU in bytes
                dirty-ring-size=n (KVM dirty ring GFN count, default 0)
                notify-vmexit=run|internal-error|disable,notify-window=n (enable notify VM exit and set notify window, x86 only)
                tb-size=n (TCG translation block cache size in MiB)
                thread=single|multi (enable multi-threaded TCG)`

const helpCompat = ` [deprecated-input=accept|reject|crash][,deprecated-output=accept|hide]
                Policy for handling deprecated management interfaces
-compat [unstable-input=accept|reject|crash][,unstable-output=accept|hide]
                Policy for handling unstable management interfaces`

const helpSandbox = ` on[,obsolete=allow|deny][,elevateprivileges=allow|deny|children]
          [,spawn=allow|deny][,resourcecontrol=allow|deny]
                take system calls away from the emulator (default 'off'):
                use 'obsolete' to allow obsolete ones
                use 'elevateprivileges' to deny those that change users
                    and groups; 'children' also keeps what is executed
                    from gaining privileges
                use 'spawn' to deny new processes
                use 'resourcecontrol' to deny changes of priorities`

const helpIncoming = ` tcp:[host]:port[,to=maxport][,ipv4=on|off][,ipv6=on|off]
-incoming unix:socketpath
                prepare for incoming migration, listen on
                specified protocol and socket address
-incoming fd:fd
-incoming exec:cmdline
                accept incoming migration on given file descriptor
                or from given external command
-incoming defer
                wait for the URI to be specified via migrate_incoming`

const helpSMP = ` [[cpus=]n][,maxcpus=maxcpus][,sockets=sockets][,dies=dies][,cores=cores][,threads=threads]
                set the number of initial CPUs to 'n' [default=1]
                maxcpus= maximum number of total CPUs, including
                offline CPUs for hotplug, etc`

// lookup finds the row of an option name.
func lookup(name string) *option {
	for _, s := range sections() {
		for r := range s.rows {
			if o := &s.rows[r]; o.name == name || o.alias != "" && o.alias == name {
				return o
			}
		}
	}
	return nil
}

func ignore(*parser, string) error { return nil }

// Section is a part of the manual: options under a heading.
type Section struct {
	Title   string
	Options []struct{ Name, Help string }
}

// Manual is the option table as the manual page shows it.
func Manual() []Section {
	var out []Section
	for _, s := range sections() {
		m := Section{Title: s.title}
		for _, o := range s.rows {
			if o.help != "" {
				m.Options = append(m.Options, struct{ Name, Help string }{o.name, o.help})
			}
		}
		out = append(out, m)
	}
	return out
}
