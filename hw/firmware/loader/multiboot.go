package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"goemu/internal/config"
)

// The Multiboot specification, version 0.6.96.
const (
	mbHeaderMagic  = 0x1badb002
	mbLoaderMagic  = 0x2badb002
	mbSearchLimit  = 8192
	mbHasAddresses = 1 << 16 // header: the address fields are valid

	mbInfoMemory     = 1 << 0
	mbInfoBootDevice = 1 << 1
	mbInfoCmdline    = 1 << 2
	mbInfoModules    = 1 << 3
	mbInfoMmap       = 1 << 6
	mbInfoLoaderName = 1 << 9

	mbInfoSize   = 88 // up to and including framebuffer-less VBE fields
	mbModuleSize = 16
	mbBootDevice = 0x8000ffff
	mbLoaderName = "qemu"
)

// multibootHeader is the header found in the image.
type multibootHeader struct {
	offset                                          uint64 // of the magic in the file
	flags                                           uint32
	headerAddr, loadAddr, loadEnd, bssEnd, entryPos uint64
}

// findMultiboot searches the first 8 KiB for a header with a right checksum.
func findMultiboot(b []byte) (multibootHeader, bool) {
	le := binary.LittleEndian
	for i := 0; i+12 <= min(len(b), mbSearchLimit); i += 4 {
		if le.Uint32(b[i:]) != mbHeaderMagic {
			continue
		}
		flags := le.Uint32(b[i+4:])
		if mbHeaderMagic+flags+le.Uint32(b[i+8:]) != 0 {
			continue
		}
		h := multibootHeader{offset: uint64(i), flags: flags}
		if flags&mbHasAddresses != 0 && i+32 <= len(b) {
			u := func(o int) uint64 { return uint64(le.Uint32(b[i+o:])) }
			h.headerAddr, h.loadAddr, h.loadEnd, h.bssEnd, h.entryPos = u(12), u(16), u(20), u(24), u(28)
		}
		return h, true
	}
	return multibootHeader{}, false
}

// loadMultiboot lays out a multiboot image with its modules.
func (im *Image) loadMultiboot(cfg *Config, kernel []byte, h multibootHeader) error {
	im.Kind = KindMultiboot
	entry, end, err := im.addMultibootKernel(kernel, h)
	if err != nil {
		return err
	}
	mods, err := im.addModules(cfg, alignUp(end, pageSize))
	if err != nil {
		return err
	}
	info, err := multibootInfo(cfg, mods)
	if err != nil {
		return err
	}
	im.add("multiboot info", infoAddr, info)
	im.add("GDT", gdtAddr, linuxGDT(false))
	im.CPU = CPU{Mode: Protected32, RIP: entry, RAX: mbLoaderMagic, RBX: infoAddr, CS: linuxCS, DS: linuxDS,
		GDTBase: gdtAddr, GDTLimit: linuxGDTSize - 1, DescriptorsFromGDT: true}
	return nil
}

// addMultibootKernel places the code: by the header's addresses, else as an ELF file.
func (im *Image) addMultibootKernel(kernel []byte, h multibootHeader) (entry, end uint64, err error) {
	if h.flags&mbHasAddresses != 0 {
		return im.addFlat(kernel, h)
	}
	f, err := parseELF(kernel)
	if err != nil {
		return 0, 0, err
	}
	if f.class64 && f.machine == elfMachineX8664 {
		return 0, 0, errors.New("Cannot load x86-64 image, give a 32bit one.")
	}
	if f.machine != elfMachine386 {
		return 0, 0, errELF
	}
	end, err = im.addELF(f)
	return f.entry, end, err
}

// addFlat places an image by the addresses in its header (the "a.out kludge").
func (im *Image) addFlat(kernel []byte, h multibootHeader) (entry, end uint64, err error) {
	if h.headerAddr < h.loadAddr {
		return 0, 0, errors.New("invalid load_addr address")
	}
	if h.headerAddr-h.loadAddr > h.offset {
		return 0, 0, errors.New("invalid header_addr address")
	}
	text := h.offset - (h.headerAddr - h.loadAddr)
	size := uint64(len(kernel)) - text
	if h.loadEnd != 0 {
		if h.loadEnd < h.loadAddr {
			return 0, 0, errors.New("invalid load_end_addr address")
		}
		if h.loadEnd-h.loadAddr > size {
			return 0, 0, errors.New("kernel does not fit in the file: load_end_addr lies after its end")
		}
		size = h.loadEnd - h.loadAddr
	}
	total := size
	if h.bssEnd != 0 {
		if h.bssEnd < h.loadAddr+size {
			return 0, 0, errors.New("invalid bss_end_addr address")
		}
		total = h.bssEnd - h.loadAddr
	}
	im.Segments = append(im.Segments, Segment{Name: "kernel", Addr: h.loadAddr, Data: kernel[text : text+size], Size: total})
	return h.entryPos, h.loadAddr + total, nil
}

// module is a placed multiboot module.
type module struct {
	seg     *Segment
	cmdline string
}

// addModules places the files of the -initrd list one after another on page boundaries from at on.
func (im *Image) addModules(cfg *Config, at uint64) ([]module, error) {
	var mods []module
	for _, item := range splitModules(cfg.Initrd) {
		name, _, _ := strings.Cut(item, " ")
		m, _, err := mapFile(name)
		if err != nil {
			return nil, fmt.Errorf("Failed to open file '%s'", name)
		}
		im.files = append(im.files, m)
		im.add("module "+name, at, m.data)
		seg := im.Segments[len(im.Segments)-1]
		mods = append(mods, module{seg: &seg, cmdline: item})
		at = alignUp(seg.End(), pageSize)
	}
	return mods, nil
}

// splitModules cuts the list at single commas; a doubled comma stands for one.
func splitModules(list string) []string {
	if list == "" {
		return nil
	}
	return config.SplitElements(list)
}

// multibootInfo builds the information structure followed by the memory map, the module list and the strings.
func multibootInfo(cfg *Config, mods []module) ([]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, mbInfoSize)
	here := func() uint32 { return infoAddr + uint32(len(b)) }
	text := func(s string) uint32 {
		at := here()
		b = append(append(b, s...), 0)
		return at
	}
	flags := uint32(mbInfoMemory | mbInfoBootDevice | mbInfoCmdline | mbInfoModules | mbInfoMmap | mbInfoLoaderName)
	le.PutUint32(b[0:], flags)
	lower, upper := mbMemory(cfg.Memory)
	le.PutUint32(b[4:], lower)
	le.PutUint32(b[8:], upper)
	le.PutUint32(b[12:], mbBootDevice)
	le.PutUint32(b[44:], uint32(len(cfg.Memory)*multibootEntrySize))
	le.PutUint32(b[48:], here())
	for _, e := range cfg.Memory {
		b = le.AppendUint32(b, multibootEntrySize-4)
		b = le.AppendUint64(b, e.Addr)
		b = le.AppendUint64(b, e.Size)
		b = le.AppendUint32(b, uint32(e.Type))
	}
	list := len(b)
	le.PutUint32(b[20:], uint32(len(mods)))
	le.PutUint32(b[24:], here())
	b = append(b, make([]byte, len(mods)*mbModuleSize)...)
	for i, m := range mods {
		at := text(m.cmdline)
		e := b[list+i*mbModuleSize:]
		le.PutUint32(e, uint32(m.seg.Addr))
		le.PutUint32(e[4:], uint32(m.seg.End()))
		le.PutUint32(e[8:], at)
	}
	at := text(cfg.Kernel + " " + cfg.Cmdline)
	le.PutUint32(b[16:], at)
	at = text(mbLoaderName)
	le.PutUint32(b[64:], at)
	if len(b) > mbInfoRoom {
		return nil, errors.New("kernel command line is too long")
	}
	return b, nil
}

// mbInfoRoom is the memory left for the information structure below the EBDA.
const mbInfoRoom = 0x80000

// mbMemory gives the KiB of memory from 0 and from 1 MiB.
func mbMemory(mem []E820) (lower, upper uint32) {
	for _, e := range mem {
		if e.Type != RAMUsable {
			continue
		}
		switch e.Addr {
		case 0:
			lower = uint32(min(e.Size>>10, 640))
		case bzImageLoadAddress:
			upper = uint32(min(e.Size>>10, 1<<32-1))
		}
	}
	return lower, upper
}
