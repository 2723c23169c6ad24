package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"goemu/hw/firmware/loader"
	"goemu/hw/pc"
	"goemu/internal/config"
)

// firmwareDirs are where distributions keep firmware images, after the folders of -L.
var firmwareDirs = []string{"/usr/share/seabios", "/usr/lib/ipxe/qemu", "/usr/share/qemu", "/usr/share/qemu-kvm", "/usr/local/share/qemu"}

// kernelROM starts a kernel for a BIOS.
const kernelROM = "linuxboot_dma.bin"

// chooseFirmware finds what a machine without a kernel starts: the disks that -drive or the machine's properties name as its flash
// chips, or else an image. With a kernel only an image that the user names is started, if it can start the kernel.
func (s *session) chooseFirmware() (err error) {
	flash := &s.config.Props.Flash
	for _, d := range s.host.disks.List() {
		if d.IF != "pflash" {
			continue
		}
		if d.Index < 0 || d.Index >= len(flash) || !s.typ.HasProp("pflash0") {
			return fmt.Errorf("machine type does not support if=%s,bus=0,unit=%d", d.IF, max(d.Index, 0))
		}
		if flash[d.Index] != "" {
			return fmt.Errorf("clashes with -machine")
		}
		flash[d.Index] = d.ID
	}
	s.config.BIOSName = firmwareName(s.vm, s.typ)
	switch {
	case flash[1] != "" && flash[0] == "":
		return fmt.Errorf("pflash1 requires pflash0")
	case flash[0] != "" || s.typ.Empty:
		return nil
	case s.vm.Boot.Kernel == "":
		s.config.BIOS, err = firmware(s.vm, s.typ)
		return err
	}
	bios, rom, err := kernelFirmware(s.vm, s.typ)
	if s.config.BIOS = bios; rom != nil {
		s.config.BootROM = pc.ROMDir + kernelROM
		s.config.FWCfg = append(s.config.FWCfg, pc.FWCfgItem{Name: s.config.BootROM, Data: rom})
	}
	return err
}

// volumeHeader is how much of a UEFI firmware volume's beginning has its signature.
const volumeHeader = 64

// kernelFirmware reads the image that starts the kernel, and the ROM that a BIOS needs for that. Without an image the kernel is started
// directly: the user has named none, or there is no ROM for it.
func kernelFirmware(vm *config.VM, t *pc.Type) (bios, rom []byte, err error) {
	if vm.Firmware == "" || !t.HasProp("pflash0") || !loader.HandsOver(vm.Boot.Kernel) {
		return nil, nil, nil
	}
	if bios, err = firmware(vm, t); err != nil {
		return nil, nil, err
	}
	if bytes.Contains(bios[:min(len(bios), volumeHeader)], []byte("_FVH")) {
		return bios, nil, nil // UEFI firmware starts kernels itself
	}
	path := findFirmware(kernelROM, dataDirs(vm))
	if path == "" {
		return nil, nil, nil
	}
	if rom, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	return bios, rom, nil
}

// firmwareName is the file of the image that a machine without a kernel starts.
func firmwareName(vm *config.VM, t *pc.Type) string {
	return cmp.Or(vm.Firmware, t.Firmware, "bios-256k.bin")
}

// firmware reads the image that a machine without a kernel starts.
func firmware(vm *config.VM, t *pc.Type) ([]byte, error) {
	name := firmwareName(vm, t)
	path := findFirmware(name, dataDirs(vm))
	if path == "" {
		hint := ""
		if vm.Firmware == "" {
			hint = " (package seabios has it; or boot a kernel with -kernel)"
		}
		return nil, fmt.Errorf("could not load PC BIOS '%s'%s", name, hint)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("could not load PC BIOS '%s': %w", name, err)
	}
	if len(b) == 0 || len(b)%65536 != 0 || len(b) > 16<<20 {
		return nil, fmt.Errorf("could not load PC BIOS '%s': %d bytes, not a multiple of 64 KiB up to 16 MiB", name, len(b))
	}
	return b, nil
}

// dataDirs are the folders in which images are looked for.
func dataDirs(vm *config.VM) []string { return slices.Concat(vm.DataDirs, firmwareDirs) }

// keymapDirs are the folders in which keyboard layouts are looked for.
func keymapDirs(vm *config.VM) (list []string) {
	for _, d := range dataDirs(vm) {
		list = append(list, filepath.Join(d, "keymaps"))
	}
	return list
}

func findFirmware(name string, dirs []string) string {
	if filepath.IsAbs(name) {
		return existing(name)
	}
	if p := existing(name); p != "" {
		return p
	}
	for _, d := range dirs {
		if p := existing(filepath.Join(d, name)); p != "" {
			return p
		}
	}
	return ""
}

func existing(p string) string {
	if _, err := os.Stat(p); err != nil {
		return ""
	}
	return p
}
