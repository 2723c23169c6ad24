package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/config"
)

func parse(t *testing.T, args ...string) *Request {
	t.Helper()
	r, err := Parse("goemu", args)
	require.NoError(t, err)
	return r
}

func TestWholeLine(t *testing.T) {
	r := parse(t, "-M", "pc,accel=kvm:tcg,hpet=off,kernel_irqchip=split", "--cpu", "max,-avx2", "-m", "1.5G", "-smp", "4", "-kernel", "k", "-append", "console=ttyS0 x=1,2",
		"-device", "virtio-rng-pci,max-bytes=5,id=a,,b", "-device", `{"driver":"virtio-blk-pci","drive":"d0","num-queues":2}`, "-nographic", "disk.img")
	vm := r.VM
	require.Equal(t, []config.Pair{{Key: "type", Value: "pc"}, {Key: "hpet", Value: "off"}}, vm.Machine.Pairs)
	require.Len(t, vm.Accels, 2)
	require.Equal(t, uint64(1536<<20), vm.Memory.Size)
	require.Equal(t, config.SMP{CPUs: 4, MaxCPUs: 4, Sockets: 1, Dies: 1, Cores: 4, Threads: 1}, vm.SMP)
	require.Equal(t, "console=ttyS0 x=1,2", vm.Boot.Append)
	id, _ := vm.Devices[0].Get("id")
	require.Equal(t, "a,b", id)
	require.True(t, vm.Devices[1].JSON)
	require.Equal(t, []config.Pair{{Key: "driver", Value: "virtio-blk-pci"}, {Key: "drive", Value: "d0"}, {Key: "num-queues", Value: json.Number("2")}}, vm.Devices[1].Pairs)
	single := parse(t, "-device", `{'driver': 'virtio-rng-pci', "id": "it's"}`).VM.Devices[0]
	require.Equal(t, []config.Pair{{Key: "driver", Value: "virtio-rng-pci"}, {Key: "id", Value: "it's"}}, single.Pairs)
	require.Equal(t, "file=disk.img,index=0,media=disk", vm.Drives[0].Value)
	require.True(t, vm.Nographic)
}

func TestAccelList(t *testing.T) {
	require.Equal(t, parse(t, "-M", "pc,accel=kvm:tcg").VM.Accels, parse(t, "-accel", "kvm:tcg").VM.Accels)
	require.Len(t, parse(t, "-accel", "kvm", "-accel", "tcg,thread=single").VM.Accels, 2)
	_, err := Parse("goemu", []string{"-accel", "kvm:tcg,thread=single"})
	require.ErrorContains(t, err, "a list of accelerators takes no options")
}

func TestTopology(t *testing.T) {
	for arg, want := range map[string]config.SMP{
		"8,sockets=2":                    {CPUs: 8, MaxCPUs: 8, Sockets: 2, Dies: 1, Cores: 4, Threads: 1},
		"cores=2,threads=2":              {CPUs: 4, MaxCPUs: 4, Sockets: 1, Dies: 1, Cores: 2, Threads: 2},
		"2,maxcpus=8":                    {CPUs: 2, MaxCPUs: 8, Sockets: 1, Dies: 1, Cores: 8, Threads: 1},
		"8,sockets=1,cores=2,dies=2":     {CPUs: 8, MaxCPUs: 8, Sockets: 1, Dies: 2, Cores: 2, Threads: 2},
		"cpus=6,sockets=3,threads=2":     {CPUs: 6, MaxCPUs: 6, Sockets: 3, Dies: 1, Cores: 1, Threads: 2},
		"4,sockets=2,cores=2,clusters=1": {CPUs: 4, MaxCPUs: 4, Sockets: 2, Dies: 1, Cores: 2, Threads: 1},
	} {
		require.Equal(t, want, parse(t, "-smp", arg).VM.SMP, arg)
	}
}

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		args    []string
		query   Query
		subject string
	}{
		{[]string{"-M", "help"}, QueryMachines, ""},
		{[]string{"-M", "pc,help"}, QueryMachine, "pc"},
		{[]string{"-cpu", "?"}, QueryCPUs, ""},
		{[]string{"-device", "help"}, QueryDevices, ""},
		{[]string{"-device", "isa-serial,help"}, QueryDevice, "isa-serial"},
		{[]string{"-object", "help"}, QueryObjects, ""},
		{[]string{"-d", "help"}, QueryLogItems, ""},
		{[]string{"-drive", "format=help"}, QueryFormats, ""},
		{[]string{"-version"}, QueryVersion, ""},
	} {
		r := parse(t, c.args...)
		require.Equal(t, c.query, r.Query, "%v", c.args)
		require.Equal(t, c.subject, r.Subject, "%v", c.args)
	}
	require.Contains(t, parse(t, "-help").Usage, "-kernel bzImage")
}

func FuzzParse(f *testing.F) {
	f.Add("-device", "virtio-rng-pci,x=1,,2")
	f.Add("-device", `{"driver":"a","b":[1,{}]}`)
	f.Add("-m", "1.5e3G")
	f.Add("-smp", "4,cores=2")
	f.Fuzz(func(t *testing.T, opt, val string) {
		if opt == "-readconfig" || opt == "--readconfig" {
			return
		}
		Parse("goemu", []string{opt, val})
	})
}

// TestMachineBoot gives what the machine boots as its properties: of them and the options of these names the last counts.
func TestMachineBoot(t *testing.T) {
	r, err := Parse("goemu", []string{"-kernel", "a", "-M", "pc,kernel=b,,c,initrd=i,append=x=1,firmware=f", "-append", "y"})
	require.NoError(t, err)
	b := r.VM.Boot
	require.Equal(t, []string{"b,c", "i", "y", "f"}, []string{b.Kernel, b.Initrd, b.Append, r.VM.Firmware})
	require.Len(t, r.VM.Machine.Pairs, 1)
	_, err = Parse("goemu", []string{"-M", "pc,append=x"})
	require.EqualError(t, err, "-append only allowed with -kernel option")
}

// TestMachineSMP gives the topology as a property of the machine.
func TestMachineSMP(t *testing.T) {
	r, err := Parse("goemu", []string{"-M", "pc,smp.cpus=2,smp.sockets=2,smp.cores=1,smp.threads=1,acpi=off"})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.VM.SMP; s.CPUs != 2 || s.Sockets != 2 || s.MaxCPUs != 2 || len(r.VM.Machine.Pairs) != 2 {
		t.Errorf("%+v, %+v", s, r.VM.Machine)
	}
}

// TestGroupHelp lists the members of options in QEMU's form.
func TestGroupHelp(t *testing.T) {
	for args, want := range map[string]string{"-rtc help": "rtc", "-boot menu=on,help": "boot-opts", "-chardev socket,help": "chardev", "-smp ?": "smp-opts"} {
		r, err := Parse("goemu", strings.Fields(args))
		require.NoError(t, err, args)
		require.Equal(t, []any{QueryGroup, want}, []any{r.Query, r.Subject}, args)
	}
	require.Equal(t, "add-fd options:\n  fd=<num>               - file descriptor of which a duplicate is added to fd set\n"+
		"  opaque=<str>           - free-form string used to describe fd\n  set=<num>              - ID of the fd set to add fd to\n", GroupHelp("add-fd"))
	require.Equal(t, "overcommit options:\n  cpu-pm=<bool (on/off)>\n  mem-lock=<bool (on/off)>\n", GroupHelp("overcommit"))
}

// TestWords: switches without a value are warned of, or refused where all members need one, in QEMU's words.
func TestWords(t *testing.T) {
	warning := func(option, word, instead string) string {
		return option + ": warning: short-form boolean option '" + word + "' deprecated\nPlease use " + instead + " instead"
	}
	for _, c := range []struct {
		args, option string
		want         []string
	}{
		{"-drive file=x,if=none,readonly,nosnapshot", "-drive file=x,if=none,readonly,nosnapshot", []string{"readonly", "readonly=on", "nosnapshot", "snapshot=off"}},
		{"-device e1000,multifunction", "-device e1000,multifunction", []string{"multifunction", "multifunction=on"}},
		{"-netdev user,id=n,restrict", "-netdev user,id=n,restrict", []string{"restrict", "restrict=on"}},
		{"-rtc base=utc -m 64M -name a -vnc :1", "", nil},
		{"-device e1000,help", "", nil},
	} {
		r, err := Parse("goemu", strings.Fields(c.args))
		require.NoError(t, err, c.args)
		var want []string
		for i := 0; i < len(c.want); i += 2 {
			want = append(want, warning(c.option, c.want[i], c.want[i+1]))
		}
		require.Equal(t, want, r.Warnings, c.args)
	}
	for args, want := range map[string]string{
		"-machine pc,usb":            "-machine pc,usb: Expected '=' after parameter 'usb'",
		"-smp 1,cpus":                "-smp 1,cpus: Expected '=' after parameter 'cpus'",
		"-netdev stream,id=n,server": "-netdev stream,id=n,server: Expected '=' after parameter 'server'",
		"-boot order=c,strict":       "-boot order=c,strict: Expected '=' after parameter 'strict'",
	} {
		_, err := Parse("goemu", strings.Fields(args))
		require.EqualError(t, err, want)
	}
}
