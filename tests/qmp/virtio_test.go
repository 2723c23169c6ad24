package qmp

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"goemu/internal/testprog"
)

// TestVirtio: devices of all types that both have look the same before their drivers come.
func TestVirtio(t *testing.T) {
	testprog.QEMU(t)
	args := []string{"-accel", "tcg", "-M", "pc", "-m", "64", "-S", "-netdev", "user,id=net", "-blockdev", "null-co,node-name=disk"}
	var lines []string
	for i, d := range []string{"virtio-scsi-pci", "virtio-rng-pci,packed=on", "virtio-blk-pci,drive=disk", "virtio-net-pci,netdev=net", "virtio-serial-pci",
		"virtio-balloon-pci", "virtio-keyboard-pci", "virtio-gpu-pci", "virtio-rng-pci,disable-modern=on"} {
		id := fmt.Sprint("d", i)
		args = append(args, "-device", d+",id="+id)
		lines = append(lines, virtioStatus(id)...)
	}
	lines = append(lines, `{"execute": "x-query-virtio-status"}`, people("info virtio-status"), people("info virtio-status /machine"), people("help info virtio-status"),
		people("info virtio-queue-status /machine 0"), people("info virtio-queue-status /machine"), people("info virtio-queue-element /machine 0"),
		people("info virtio-queue-status /machine/peripheral/d0/virtio-backend 3"), people("info virtio-queue-element /machine/peripheral/d0/virtio-backend 65535"),
		people("help info virtio-queue-status"), people("help info virtio-queue-element"))
	compareLines(t, args, lines)
}

// TestVirtioLegacy does what the driver of a legacy device does with its ports.
func TestVirtioLegacy(t *testing.T) {
	testprog.QEMU(t)
	var lines []string
	for _, port := range []string{
		"o/w 0xcf8 0x80001010", "o/w 0xcfc 0xc001", "o/w 0xcf8 0x80001004", "o/h 0xcfc 7", // the ports are at 0xc000
		"o/b 0xc012 1", "o/b 0xc012 3", "o/w 0xc004 0x30000000", "o/w 0xc008 2", // queue
		"o/b 0xc012 0x23", "o/b 0xc012 7", "info virtio-queue-element /machine/peripheral/r/virtio-backend 0 65535",
		"info virtio-queue-element /machine/peripheral/r/virtio-backend 0 -1", "o/b 0xc012 0x83", "o/h 0xc00e 0", "o/b 0xc012 0",
	} {
		lines = append(append(lines, people(port)), virtioStatus("r")...)
	}
	compareLines(t, []string{"-accel", "tcg", "-M", "pc", "-m", "64", "-S", "-device", "virtio-rng-pci,id=r,disable-modern=on,addr=2"}, lines)
	compareLines(t, []string{"-accel", "tcg", "-M", "pc-i440fx-5.0", "-m", "64", "-S", "-device", "virtio-rng-pci,id=r"}, virtioStatus("r"))
}

// virtioStatus asks for the state of the device behind a function, and for its first queue's, in both ways.
func virtioStatus(id string) (lines []string) {
	path := "/machine/peripheral/" + id + "/virtio-backend"
	for _, c := range [][3]string{{"status"}, {"queue-status", `, "queue": 0`, " 0"}, {"queue-element", `, "queue": 0`, " 0"}} {
		lines = append(lines, fmt.Sprintf(`{"execute": "x-query-virtio-%s", "arguments": {"path": %q%s}}`, c[0], path, c[1]),
			people("info virtio-"+c[0]+" "+path+c[2]))
	}
	return lines
}

func people(line string) string {
	return fmt.Sprintf(`{"execute": "human-monitor-command", "arguments": {"command-line": %q}}`, line)
}

// compareLines gives commands to both emulators.
func compareLines(t *testing.T, args, lines []string) {
	t.Helper()
	q, g := start(t, oracle, "-qmp", args...), start(t, testprog.Goemu(t), "-qmp", args...)
	for _, text := range slices.Concat([]string{`{"execute": "qmp_capabilities"}`, ""}, lines) {
		assert.Equal(t, q.say(text), g.say(text), text)
	}
}
