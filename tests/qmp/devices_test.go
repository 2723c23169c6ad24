package qmp

import (
	"testing"

	"goemu/internal/testprog"
)

// TestWrongDevices compares what is said of devices that are none, have no disk, or cannot be made or removed.
func TestWrongDevices(t *testing.T) {
	testprog.QEMU(t)
	args := []string{"-accel", "tcg", "-M", "pc", "-m", "16", "-S", "-blockdev", "null-co,node-name=n", "-device", "virtio-blk-pci,drive=n,id=d", "-device", "e1000,id=e"}
	var lines []string
	for _, id := range []string{"d", "e", "nosuch", "/machine", "/machine/nosuch", "/machine/peripheral/e", "/machine/peripheral/d"} {
		lines = append(lines, `{"execute": "blockdev-open-tray", "arguments": {"id": "`+id+`"}}`, `{"execute": "block-latency-histogram-set", "arguments": {"id": "`+id+`"}}`,
			`{"execute": "blockdev-insert-medium", "arguments": {"id": "`+id+`", "node-name": "n"}}`)
	}
	compareLines(t, args, append(lines,
		`{"execute": "device_del", "arguments": {"id": "/machine/peripheral/d/virtio-backend"}}`, `{"execute": "device_del", "arguments": {"id": "/machine"}}`,
		`{"execute": "device_add", "arguments": {"driver": ""}}`, `{"execute": "device_add", "arguments": {"driver": {}}}`,
		`{"execute": "device_add", "arguments": {"driver": "nosuch", "id": "#"}}`, `{"execute": "device_add", "arguments": {"id": "#"}}`,
		`{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "#", "node-name": "nosuch", "iothread": "x"}}`,
		`{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "x", "node-name": "nosuch", "iothread": "x"}}`,
		`{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "x", "node-name": "n", "iothread": "x"}}`))
}
