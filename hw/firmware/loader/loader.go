// Package loader prepares the direct boot of a kernel: it reads a Linux bzImage, a PVH ELF file or a multiboot 1 image and answers
// what to put where in guest memory and in which state the first CPU starts. It is pure: it knows no device, no CPU
// implementation and no guest memory; the machine places the segments at every reset.
package loader

import (
	"fmt"
)

// RAMType is the type of an E820 entry as the ACPI specification numbers it.
type RAMType uint32

// The address range types of INT 15h, AX=E820h.
const (
	RAMUsable   RAMType = 1
	RAMReserved RAMType = 2
	RAMACPI     RAMType = 3
	RAMNVS      RAMType = 4
)

// E820 is one range of the guest's memory map.
type E820 struct {
	Addr, Size uint64
	Type       RAMType
}

// Config says what to boot and on which memory.
type Config struct {
	Kernel  string // file name
	Initrd  string // file name; for multiboot a list "file args,file args" with commas in names doubled; empty for none
	Cmdline string
	// Memory is the map that the guest sees, sorted by address. Its usable ranges below 4 GiB are where things are placed.
	Memory []E820
	RSDP   uint64 // guest address of the ACPI root pointer, 0 for none
	NoLong bool   // the CPU has no long mode
	Use32  bool   // use the 32-bit entry point even where there is a 64-bit one
	NoPVH  bool   // do not look for a PVH entry point
	Screen *Screen
}

// Screen is the text screen that the kernel finds.
type Screen struct{ Mode, Columns, Lines, GlyphLines uint8 }

// Segment is a piece of guest memory to fill: Data and then zeroes up to Size bytes.
type Segment struct {
	Name string // what it is, for traces
	Addr uint64
	Data []byte
	Size uint64 // at least len(Data)
}

// End is the address after the last byte.
func (s *Segment) End() uint64 { return s.Addr + s.Size }

// Mode is the processor mode at the entry point.
type Mode uint8

// The modes.
const (
	Protected32 Mode = iota // CR0.PE set, paging off, flat segments
	Long                    // 64-bit code, identity page tables at CR3, flat segments
)

// CPU is the state of the boot processor at the entry point. Registers that are not named are zero, interrupts are off, segments
// are flat (base 0, limit 4 GiB) with these selectors, and the descriptor table lies in one of the segments.
type CPU struct {
	Mode               Mode
	RIP, RSP           uint64
	RAX, RBX, RSI      uint64
	CR3                uint64 // Long only
	GDTBase            uint64
	GDTLimit           uint16
	CS, DS, TR         uint16 // DS is also for ES, FS, GS and SS; TR is 0 for none
	DescriptorsFromGDT bool   // the cached descriptors equal the entries of the table
}

// Kind is what kind of image was found.
type Kind string

// The kinds of image.
const (
	KindLinux     Kind = "linux"
	KindPVH       Kind = "pvh"
	KindMultiboot Kind = "multiboot"
)

// Image is a kernel ready to be placed.
type Image struct {
	Kind     Kind
	Segments []Segment
	CPU      CPU
	Protocol uint16 // Linux boot protocol, as 0x020f
	files    []mapping
}

// Close releases the files behind the segments; the segments' data must not be used afterwards.
func (im *Image) Close() error {
	var err error
	for _, m := range im.files {
		if e := m.Close(); err == nil {
			err = e
		}
	}
	im.files = nil
	return err
}

// Load reads the kernel (and the initrd) of cfg. An error is one line for the user, without a program name before it.
func Load(cfg *Config) (*Image, error) {
	file, err := openKernel(cfg.Kernel)
	if err != nil {
		return nil, err
	}
	im := &Image{files: []mapping{file}}
	if err := im.load(cfg, file.data); err != nil {
		im.Close()
		return nil, err
	}
	if err := im.check(cfg.Memory); err != nil {
		im.Close()
		return nil, err
	}
	return im, nil
}

// load tells the formats apart in the order QEMU does: Linux, multiboot, PVH.
func (im *Image) load(cfg *Config, kernel []byte) error {
	if hasLinuxMagic(kernel) {
		return im.loadLinux(cfg, kernel)
	}
	if hdr, ok := findMultiboot(kernel); ok {
		return im.loadMultiboot(cfg, kernel, hdr)
	}
	if !cfg.NoPVH && isELF(kernel) {
		return im.loadPVH(cfg, kernel)
	}
	return errInvalidKernel
}

// add appends a segment whose size is that of its data.
func (im *Image) add(name string, addr uint64, data []byte) {
	im.Segments = append(im.Segments, Segment{Name: name, Addr: addr, Data: data, Size: uint64(len(data))})
}

// check reports segments that overlap or lie outside usable memory.
func (im *Image) check(mem []E820) error {
	for i := range im.Segments {
		s := &im.Segments[i]
		if !usable(mem, s.Addr, s.Size) {
			return fmt.Errorf("could not load kernel: %s at 0x%x (0x%x bytes) does not fit in the machine's memory", s.Name, s.Addr, s.Size)
		}
		for j := range im.Segments[:i] {
			o := &im.Segments[j]
			if s.Size != 0 && o.Size != 0 && s.Addr < o.End() && o.Addr < s.End() {
				return fmt.Errorf("could not load kernel: %s and %s overlap at 0x%x", o.Name, s.Name, max(s.Addr, o.Addr))
			}
		}
	}
	return nil
}
