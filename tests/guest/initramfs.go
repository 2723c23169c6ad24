package guest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Spec describes an initramfs.
type Spec struct {
	Busybox string
	Kernel  *Kernel // its modules are included; nil: none
	Modules []string
	Files   map[string]string // path in the guest → host file, executable
}

// DefaultModules are what goemu's machines need for their devices.
var DefaultModules = []string{"virtio_pci", "virtio_mmio", "virtio_blk", "virtio-rng", "virtio_console"}

// initScript is /init. Kernel parameters: run=PROGRAM runs it (commas for blanks) and powers off; without it there is a shell. While the
// program runs the kernel's messages stay away from what it prints; what they complain of follows.
const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=${TERM:-vt102}
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
hostname goemu
for m in $(cat /modules/order 2>/dev/null); do insmod /modules/$m 2>/dev/null; done
echo GOEMU-USERSPACE
run=
for p in $(cat /proc/cmdline); do case $p in run=*) run=$(echo "${p#run=}" | tr , ' ');; esac; done
if [ -n "$run" ]; then
	dmesg -n 1
	sh -c "$run"
	status=$?
	dmesg | grep -e BUG: -e Oops -e 'Call Trace' -e 'unchecked MSR' -e 'soft lockup' -e segfault
	dmesg -n 7
	echo "GOEMU-EXIT $status"
else
	echo "Linux $(uname -r), a shell of busybox. 'poweroff' ends the machine; Ctrl-A x ends the emulator."
	alias poweroff='poweroff -f' reboot='reboot -f'
	export ENV=/etc/shrc
	setsid cttyhack sh
fi
sync
poweroff -f
`

// WriteInitramfs writes a compressed initramfs to file.
func WriteInitramfs(file string, s Spec) error {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	c := &cpio{w: zw}
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "modules"} {
		c.add(d, modeDir, nil, 0, 0)
	}
	c.add("dev/console", modeChr, nil, 5, 1)
	c.add("init", modeExec, []byte(initScript), 0, 0)
	c.add("etc/shrc", modeFile, []byte("alias poweroff='poweroff -f' reboot='reboot -f'\n"), 0, 0)
	bb, err := os.ReadFile(s.Busybox)
	if err != nil {
		return err
	}
	c.add("bin/busybox", modeExec, bb, 0, 0)
	c.add("bin/sh", modeLink, []byte("busybox"), 0, 0)
	if s.Kernel != nil {
		if err := addModules(c, s.Kernel.Modules, s.Modules); err != nil {
			return err
		}
	}
	dirs := map[string]bool{"bin": true, "etc": true}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		b, err := os.ReadFile(s.Files[name])
		if err != nil {
			return err
		}
		if d := path.Dir(name); d != "." && !dirs[d] {
			c.add(d, modeDir, nil, 0, 0)
			dirs[d] = true
		}
		c.add(name, modeExec, b, 0, 0)
	}
	if err := c.close(); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, buf.Bytes(), 0o644)
}

// addModules includes modules of a kernel with what they depend on, in loading order.
func addModules(c *cpio, dir string, names []string) error {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".ko") {
			files[moduleName(p)] = p
		}
		return err
	})
	if err != nil {
		return err
	}
	var order []string
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		name = moduleName(name)
		if seen[name] || files[name] == "" { // absent: built in
			return nil
		}
		seen[name] = true
		deps, err := moduleDepends(files[name])
		if err != nil {
			return err
		}
		for _, d := range deps {
			if err := visit(d); err != nil {
				return err
			}
		}
		b, err := os.ReadFile(files[name])
		if err != nil {
			return err
		}
		c.add("modules/"+name+".ko", modeFile, b, 0, 0)
		order = append(order, name+".ko")
		return nil
	}
	for _, n := range names {
		if err := visit(n); err != nil {
			return err
		}
	}
	c.add("modules/order", modeFile, []byte(strings.Join(order, "\n")+"\n"), 0, 0)
	return nil
}

// moduleName is a module's name as the kernel has it.
func moduleName(p string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(p), ".ko"), "-", "_")
}

// moduleDepends reads the dependencies recorded in a module.
func moduleDepends(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	sec := f.Section(".modinfo")
	if sec == nil {
		return nil, fmt.Errorf("%s: no .modinfo", file)
	}
	info, err := sec.Data()
	if err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(bytes.NewReader(bytes.ReplaceAll(info, []byte{0}, []byte{'\n'})))
	for sc.Scan() {
		if d, ok := strings.CutPrefix(sc.Text(), "depends="); ok && d != "" {
			return strings.Split(d, ","), nil
		}
	}
	return nil, sc.Err()
}
