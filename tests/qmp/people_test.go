package qmp

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// peopleLines are lines of the monitor for people that both answer with the same text.
var peopleLines = []string{
	"migrate_set_parameter nosuch 1", "migrate_set_parameter max-bandwidth 5", "migrate_set_parameter max-bandwidth x", "migrate_set_parameter downtime-limit 5",
	"info migrate_parameters", "migrate_set_capability nosuch on", "migrate_continue x", "migrate_incoming x", "migrate -d",
	"qom-list", "qom-list /objects", "qom-get /objects/o size", "qom-get /machine type", "qom-set /objects/o merge off", "qom-set /objects/o merge x",
	"qom-set -j /objects/o merge true", "qom-set -j /objects/o merge 1", "qom-set /objects/o size 1", "info qom-tree /nosuch",
	"object_add nosuch", "object_add iothread,id=i,poll-max-ns=5", "object_add iothread,id=i,poll-max-ns=x", "object_add iothread,poll-max-ns=5",
	"object_add iothread,id=1,poll-max-ns=5", "object_add iothread,id=k,nosuch=5", "object_del i", "object_del i", "object_del o",
	"info virtio", "device_add virtio-keyboard-pci", "device_add virtio-scsi-pci,id=s", "info virtio", "help info virtio",
	"device_add nosuch", "device_del nosuch", "device_add virtio-rng-pci,id=r", "device_add virtio-rng-pci,id=r", "device_add virtio-rng-pci,bus=nosuch", "device_del r",
}

// TestPeople: the monitor for people says the same.
func TestPeople(t *testing.T) {
	testprog.QEMU(t)
	args := []string{"-accel", "tcg", "-M", "pc", "-m", "64", "-S", "-object", "memory-backend-ram,id=o,size=1048576"}
	comparePeople(t, args, peopleLines)
}

// machineLines are lines about the machine that both answer with the same text.
var machineLines = []string{
	"x/3c 0xffff0", "x/4ob 0xffff0", "x/4xh 0xffff0", "xp/4dw 0xffff0", "x/5ug 0xffff0", "x/3dw 0xffffe", "x", "x/q 0", "sum 0xf0000 100", "gva2gpa 0x1234", "gpa2hva 0xfec00000", "gpa2hva 0x8000000000", "gpa2hva", "gpa2hpa 0xfec00000", "gpa2hpa 0x8000000000", "gpa2hpa", "help gpa2hpa", "gva2gpa 0", "p/x 0",
	"i/h 0x1f0", "i/b 0x20", "o/b 0x80 5", "o/b 0x80", "info registers", "info registers -a", "info registers 3", "info mem", "info tlb", "cpu 5", "cpu 1",
	"info lapic 1", "info lapic 7", "info pic", "info irq", "info usb", "info stats", "info stats vm", "info stats nosuch", "info stats vcpu * nosuch", "info memdev", "info memory_size_summary", "info hotpluggable-cpus", "info numa", "nmi", "boot_set x", "boot_set cc", "boot_set cd",
	"p/x $eip", "p/x $pc", "p $cs", "p/x $cs.base", "p $ds.limit", "p $esp", "p $fp", "p $r15", "p $eflags", "p $nosuch", "x/4xb $pc", "x/2xb $cs.base+$eip",
	"screendump /nosuch/x", "memsave 0 16 /nosuch/x", "memsave 0 16", "info nosuch", "migrate_set_parameter block-bitmap-mapping x", "gdbserver tcp:127.0.0.1:0", "gdbserver nosuch", "gdbserver none", "help gdbserver", "help info ramblock",
	"singlestep", "info status", "singlestep off", "info status", "singlestep nosuch", "singlestep on x", "help singlestep",
}

// TestMachinePeople: registers, memory and ports look the same to people.
func TestMachinePeople(t *testing.T) {
	testprog.QEMU(t)
	comparePeople(t, []string{"-accel", "tcg", "-M", "pc", "-m", "64", "-smp", "2", "-S"}, machineLines)
}

// TestTexts: the texts of x-query-… are those of info.
func TestTexts(t *testing.T) {
	m := start(t, testprog.Goemu(t), "-qmp", "-accel", "tcg", "-M", "pc", "-m", "64", "-S", "-usb", "-device", "usb-tablet", "-object", "memory-backend-ram,id=mem,size=64M", "-numa", "node,memdev=mem")
	m.say(`{"execute": "qmp_capabilities"}`)
	m.say("")
	for name, has := range map[string]string{"irq": "IRQ statistics for isa-i8259:\n 0: 1\n", "jit": "TB count            0\n", "numa": "node 0 cpus: 0\n", "ramblock": " mem    4 KiB ",
		"roms": "size=0x040000 mem=rom name=\"bios-256k.bin\"\n", "usb": "Product QEMU USB Tablet"} {
		lines := m.say(`{"execute": "x-query-` + name + `"}`)
		var r struct {
			Return struct {
				Text string `json:"human-readable-text"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &r), name)
		assert.Contains(t, r.Return.Text, has)
		assert.Equal(t, r.Return.Text, returned(m.say(`{"execute": "human-monitor-command", "arguments": {"command-line": "info `+name+`"}}`)))
	}
}

// TestImagesForPeople: info block -v describes the images of a chain.
func TestImagesForPeople(t *testing.T) {
	testprog.QEMU(t)
	dir := t.TempDir()
	for _, args := range [][]string{{"-f", "qcow2", "b.qcow2", "1M"}, {"-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", "o.qcow2"}} {
		cmd := exec.Command("qemu-img", append([]string{"create", "-q"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	file := func(name string) string {
		return "driver=qcow2,node-name=" + name + ",file.driver=file,file.filename=" + dir + "/" + name + ".qcow2"
	}
	comparePeople(t, []string{"-M", "none", "-blockdev", file("b") + ",file.node-name=bf,read-only=on", "-blockdev", file("o") + ",file.node-name=of,backing=b,read-only=on"},
		[]string{"info block -n -v o", "info block -v b", "info block -n -v", "help info block"})
}

// TestLateAttach: a usb-bot that is plugged in shows itself to the guest when its disks are there and its user says so.
func TestLateAttach(t *testing.T) {
	testprog.QEMU(t)
	const attached = "qom-set /machine/peripheral/b attached "
	comparePeople(t, []string{"-M", "pc", "-S", "-device", "qemu-xhci,id=x", "-blockdev", "null-co,node-name=n0,size=1048576", "-device", "usb-tablet,id=t"}, []string{
		"device_add usb-bot,id=b,bus=x.0", "qom-get /machine/peripheral/b attached", "info usb", "device_add scsi-hd,bus=b.0,drive=n0",
		attached + "on", "qom-get /machine/peripheral/b attached", "info usb", attached + "off", "qom-get /machine/peripheral/b attached", attached + "x",
		"qom-get /machine/peripheral/t attached", "qom-set /machine/peripheral/t attached off",
	})
}

// comparePeople gives lines to the monitors of both emulators.
func comparePeople(t *testing.T, args, lines []string) {
	t.Helper()
	q, g := start(t, oracle, "-qmp", args...), start(t, testprog.Goemu(t), "-qmp", args...)
	greet := func(m *machine) { m.say(`{"execute": "qmp_capabilities"}`); m.say("") }
	greet(q)
	greet(g)
	for _, line := range lines {
		command := fmt.Sprintf(`{"execute": "human-monitor-command", "arguments": {"command-line": %q}}`, line)
		want, got := returned(q.say(command)), returned(g.say(command))
		assert.Equal(t, want, got, line)
	}
}

// returned is the text that a command returned.
func returned(lines []string) string {
	var r struct{ Return string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		return lines[len(lines)-1]
	}
	return strings.ReplaceAll(r.Return, "\r\n", "\n")
}
