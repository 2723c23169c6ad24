package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"goemu/tests/guest"
)

// storageGroup is the works that move data between the guest and a disk or a directory of the host.
const storageGroup = "storage"

// storageBytes is what guestgo/storage.go expects of a disk and of a shared file.
const storageBytes = 64 << 20

// adapter is a kind of disk, or of shared directory.
type adapter struct {
	name string
	args []string // IMAGE and DIR stand for places of the host
	run  string
}

func (a adapter) String() string { return a.name }

// storages are the adapters that are measured, with their options and the program that the guest runs.
var storages = []adapter{
	{"nvme", []string{"-drive", "if=none,id=b,format=raw,file=IMAGE", "-device", "nvme,drive=b,serial=1"}, "gobench storage nvme /dev/nvme0n1"},
	{"ahci", []string{"-drive", "if=none,id=b,format=raw,file=IMAGE", "-device", "ahci,id=a", "-device", "ide-hd,bus=a.0,drive=b"}, "gobench storage ahci /dev/sda"},
	{"virtio-scsi", []string{"-drive", "if=none,id=b,format=raw,file=IMAGE", "-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=b"}, "gobench storage virtio-scsi /dev/sda"},
	{"9p", []string{"-virtfs", "local,path=DIR,mount_tag=host,security_model=mapped-xattr"},
		"mkdir /m; mount -t 9p -o trans=virtio -o version=9p2000.L -o msize=524288 host /m; gobench storage 9p /m"},
}

// disks measures reading and writing 64 MiB, 2000 random reads one after the other and 8000 eight at once on each kind of disk, and reading
// 64 MiB and 200 files' creation, renaming and removal over 9P.
func disks(o options, s *setup, pair [2]*emulator) ([]row, error) {
	var rows []row
	n := *s
	for _, d := range storages {
		if !o.selected(d.name, storageGroup) {
			continue
		}
		if n.kernel == s.kernel {
			if err := storageGuest(&n); err != nil {
				return nil, err
			}
		}
		args := slices.Clone(d.args)
		for i := range args {
			args[i] = strings.NewReplacer("IMAGE", filepath.Join(s.dir, "storage.img"), "DIR", filepath.Join(s.dir, "shared")).Replace(args[i])
		}
		r, err := console(o, &n, pair, "sleep 2; "+d.run, func(result) bool { return true }, args...)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// storageGuest makes the guest with the drivers, the image and the directory.
func storageGuest(s *setup) error {
	k, err := guest.GetKernel("amd64")
	if err != nil {
		return err
	}
	bb, err := guest.GetBusybox()
	if err != nil {
		return err
	}
	s.kernel, s.initrd = k.Image, filepath.Join(s.dir, "storage-initrd.gz")
	if err := os.MkdirAll(filepath.Join(s.dir, "shared"), 0o755); err != nil {
		return err
	}
	for _, f := range []string{"storage.img", "shared/big"} {
		if err := os.WriteFile(filepath.Join(s.dir, f), make([]byte, storageBytes), 0o644); err != nil {
			return err
		}
	}
	modules := append([]string{"nvme", "ahci", "virtio_scsi", "sd_mod", "9p", "9pnet_virtio"}, guest.DefaultModules...)
	return guest.WriteInitramfs(s.initrd, guest.Spec{Busybox: bb, Kernel: k, Modules: modules, Files: map[string]string{"bin/gobench": filepath.Join(s.dir, "gobench")}})
}
