package loader

import (
	"encoding/binary"
	"errors"
)

// The x86/HVM direct boot ABI (Xen's docs/misc/pvh.pandoc and start_info.h).
const (
	noteOwnerXen       = "Xen"
	notePhys32Entry    = 18 // XEN_ELFNOTE_PHYS32_ENTRY
	pvhStartMagic      = 0x336ec578
	pvhStartVersion    = 1 // with a memory map
	pvhStartInfoSize   = 56
	pvhModuleEntrySize = 32
)

// loadPVH lays out an ELF kernel with a PVH entry point.
func (im *Image) loadPVH(cfg *Config, kernel []byte) error {
	f, err := parseELF(kernel)
	if err != nil {
		return err
	}
	entry, ok := f.pvhEntry()
	if !ok {
		return errors.New("Error loading uncompressed kernel without PVH ELF Note")
	}
	im.Kind = KindPVH
	end, err := im.addELF(f)
	if err != nil {
		return err
	}
	var initrd *Segment
	if cfg.Initrd != "" {
		data, err := im.openInitrd(cfg.Initrd)
		if err != nil {
			return err
		}
		at, err := placeInitrd(cfg.Memory, 1<<32-1, end, uint64(len(data)))
		if err != nil {
			return err
		}
		im.add("initrd", at, data)
		initrd = &im.Segments[len(im.Segments)-1]
	}
	if len(cfg.Cmdline) >= cmdlineRoom {
		return errors.New("kernel command line is too long")
	}
	im.add("PVH start info", infoAddr, pvhInfo(cfg, initrd))
	im.add("command line", cmdlineAddr, append([]byte(cfg.Cmdline), 0))
	im.add("GDT", gdtAddr, linuxGDT(false))
	im.CPU = CPU{Mode: Protected32, RIP: entry, RBX: infoAddr, CS: linuxCS, DS: linuxDS, TR: linuxTR,
		GDTBase: gdtAddr, GDTLimit: linuxGDTSize - 1, DescriptorsFromGDT: true}
	return nil
}

// pvhEntry is the entry point from the ELF note, 4 or 8 bytes wide.
func (f *elfFile) pvhEntry() (uint64, bool) {
	d, ok := f.note(noteOwnerXen, notePhys32Entry)
	switch {
	case ok && len(d) >= 8:
		return uint64(binary.LittleEndian.Uint32(d)), true // a 32-bit physical address by the ABI
	case ok && len(d) >= 4:
		return uint64(binary.LittleEndian.Uint32(d)), true
	}
	return 0, false
}

// pvhInfo builds hvm_start_info followed by the module list and the memory map.
func pvhInfo(cfg *Config, initrd *Segment) []byte {
	le := binary.LittleEndian
	b := make([]byte, pvhStartInfoSize, pvhStartInfoSize+pvhModuleEntrySize+len(cfg.Memory)*pvhMemmapSize)
	le.PutUint32(b[0:], pvhStartMagic)
	le.PutUint32(b[4:], pvhStartVersion)
	le.PutUint64(b[24:], cmdlineAddr)
	le.PutUint64(b[32:], cfg.RSDP)
	if initrd != nil {
		le.PutUint32(b[12:], 1)
		le.PutUint64(b[16:], infoAddr+uint64(len(b)))
		b = le.AppendUint64(b, initrd.Addr)
		b = le.AppendUint64(b, initrd.Size)
		b = le.AppendUint64(b, 0) // command line of the module
		b = le.AppendUint64(b, 0) // reserved
	}
	le.PutUint64(b[40:], infoAddr+uint64(len(b)))
	le.PutUint32(b[48:], uint32(len(cfg.Memory)))
	for _, e := range cfg.Memory {
		b = le.AppendUint64(b, e.Addr)
		b = le.AppendUint64(b, e.Size)
		b = le.AppendUint32(b, uint32(e.Type))
		b = le.AppendUint32(b, 0)
	}
	return b
}
