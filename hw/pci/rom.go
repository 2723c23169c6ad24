package pci

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"goemu/internal/memory"
)

// FindROM returns the path of a firmware image, "" if there is none.
var FindROM = func(name string) string { return name }

// DefaultROM is the file of the expansion ROM that a new function has unless the user names one; "" for none.
func (d *Device) DefaultROM(file string) { d.ROMFile, d.ownROM = file, file }

// HasROM tells whether the file of the expansion ROM is there.
func (d *Device) HasROM() bool {
	_, err := os.Stat(FindROM(d.ROMFile))
	return err == nil
}

// loadROM reads the expansion ROM.
func (d *Device) loadROM() error {
	if d.ROMFile == "" || d.ROMBar == 0 {
		return nil
	}
	b, err := os.ReadFile(FindROM(d.ROMFile))
	if err != nil {
		hint := ""
		if d.ROMFile == d.ownROM {
			hint = " (package " + romPackage(d.Get16(RegClass)) + " has it)"
		}
		return fmt.Errorf("failed to find romfile \"%s\"%s", d.ROMFile, hint)
	}
	if len(b) == 0 {
		return fmt.Errorf("romfile \"%s\" is empty", d.ROMFile)
	}
	size := uint64(memory.PageSize)
	for size < uint64(len(b)) {
		size <<= 1
	}
	if d.ROMSize != 0xffffffff {
		if uint64(d.ROMSize) < uint64(len(b)) {
			return fmt.Errorf("romfile \"%s\" (%d bytes) is too large for ROM size %d", d.ROMFile, len(b), d.ROMSize)
		}
		size = uint64(d.ROMSize)
		if size&(size-1) != 0 {
			return fmt.Errorf("ROM size %d is not a power of two", d.ROMSize)
		}
	}
	if d.ROMFile == d.ownROM {
		d.patchROM(b)
	}
	name := d.Class().Name
	if s := d.State(); s != nil && !slices.Contains(d.Class().Parents, "virtio-pci") { // their state is the device's behind the function
		name = s.Layout().Name
	}
	rom, err := memory.NewROM(d.RAMName(name+".rom"), size)
	if err != nil {
		return err
	}
	copy(rom.RAM().Bytes(), b)
	d.rom = rom
	d.SetBAR(romBAR, BARMem32, rom)
	return nil
}

// romPackage is Debian's package with the ROMs for a class of devices.
func romPackage(class uint16) string {
	if class == ClassNetworkEthernet {
		return "ipxe-qemu"
	}
	return "seabios"
}

// Layout of an expansion ROM (PCI Firmware Specification 3.0, chapter 5).
const (
	romMagic    = 0xaa55
	romChecksum = 6 // where etherboot keeps a byte that makes the sum zero
	romPCIR     = 0x18
	pcirVendor  = 4
	pcirDevice  = 6
)

// patchROM puts the function's own identifiers into a ROM that serves several kinds of devices.
func (d *Device) patchROM(b []byte) {
	if len(b) < headerSize || binary.LittleEndian.Uint16(b) != romMagic {
		return
	}
	at := int(binary.LittleEndian.Uint16(b[romPCIR:]))
	if at+8 >= len(b) || string(b[at:at+4]) != "PCIR" {
		return
	}
	for _, r := range []struct{ rom, reg int }{{at + pcirVendor, RegVendorID}, {at + pcirDevice, RegDeviceID}} {
		have, want := b[r.rom:r.rom+2], d.Config[r.reg:r.reg+2]
		b[romChecksum] += have[0] + have[1] - want[0] - want[1]
		copy(have, want)
	}
}
