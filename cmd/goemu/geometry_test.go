package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// ports speaks qtest's protocol with a program about its ports.
type ports struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// call sends a line and returns the last word of the answer.
func (p *ports) call(format string, a ...any) string {
	_, err := fmt.Fprintf(p.in, format+"\n", a...)
	require.NoError(p.t, err)
	for p.out.Scan() {
		if w := strings.Fields(p.out.Text()); w[0] == "OK" {
			return w[len(w)-1]
		}
	}
	p.t.Fatal("no answer")
	return ""
}

func (p *ports) inb(port int) byte {
	v, err := strconv.ParseUint(p.call("inb %#x", port), 0, 8)
	require.NoError(p.t, err)
	return byte(v)
}

// item reads bytes of an item of the firmware configuration device.
func (p *ports) item(key, n int) []byte {
	p.call("outw 0x510 %#x", key)
	b := make([]byte, n)
	for i := range b {
		b[i] = p.inb(0x511)
	}
	return b
}

// file reads a named item.
func (p *ports) file(name string) string {
	const entry = 64
	count := int(p.item(0x19, 4)[3])
	dir := p.item(0x19, 4+count*entry)[4:]
	for ; len(dir) > 0; dir = dir[entry:] {
		if strings.TrimRight(string(dir[8:entry]), "\x00") == name {
			return string(p.item(int(dir[4])<<8|int(dir[5]), int(dir[2])<<8|int(dir[3])))
		}
	}
	return "no such file"
}

// TestGeometry compares with QEMU what the BIOS is told about the geometry of disks and their order.
func TestGeometry(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(disk, make([]byte, 30<<20), 0o644))
	bios := func(program string, options string) string {
		args := []string{"-nodefaults", "-display", "none", "-accel", "tcg", "-S", "-qtest", "stdio", "-qtest-log", "none", "-M"}
		for i := range 3 {
			options = strings.ReplaceAll(options, fmt.Sprintf("drive=%d", i), fmt.Sprintf("share-rw=on,drive=d%d", i))
		}
		args = append(args, strings.Fields(options)...)
		for i := range 3 {
			args = append(args, "-blockdev", fmt.Sprintf("driver=raw,node-name=d%d,file.driver=file,file.locking=off,file.filename=%s", i, disk))
		}
		in, out, end := talkTo(t, program, args...)
		defer end()
		p := &ports{t, in, out}
		p.call("outb 0x70 0x39")
		return fmt.Sprintf("translations %#x\n%s\n%s", p.inb(0x71), p.file("bios-geometry"), p.file("bootorder"))
	}
	goemu := testprog.Goemu(t)
	qemu := testprog.QEMU(t)
	for _, options := range []string{
		"pc -device ide-hd,drive=0,bios-chs-trans=none,bus=ide.0,unit=0 -device ide-hd,drive=1,bios-chs-trans=lba,bus=ide.0,unit=1 -device ide-hd,drive=2,bus=ide.1,bios-chs-trans=rechs",
		"pc -device ide-hd,drive=0,bus=ide.0,bios-chs-trans=large,cyls=100,heads=2,secs=3 -device ide-hd,drive=1,cyls=2000,heads=16,secs=63,bus=ide.1,lcyls=1,lheads=2,lsecs=3",
		"pc -device virtio-blk-pci,drive=0,lcyls=10000,lheads=120,lsecs=30,bootindex=2 -device virtio-scsi-pci -device scsi-hd,drive=1,lsecs=1,bootindex=1 -device virtio-blk-pci,drive=2",
		"q35 -device ide-hd,drive=0,bus=ide.2,lheads=1 -device virtio-blk-pci,drive=1,lcyls=5",
		"pc",
	} {
		require.Equal(t, bios(qemu, options), bios(goemu, options), options)
	}
	for _, options := range []string{"-device ide-hd,drive=d,bios-chs-trans=often", "-device ide-hd,drive=d,lcyls=-1x"} {
		args := append([]string{"-nodefaults", "-display", "none", "-accel", "tcg", "-blockdev", "driver=null-co,node-name=d"}, strings.Fields(options)...)
		require.Equal(t, said(t, qemu, args...), said(t, goemu, args...))
	}
}
