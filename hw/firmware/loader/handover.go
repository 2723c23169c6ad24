package loader

import (
	"encoding/binary"
	"fmt"
)

// Handover is a kernel for firmware that loads it by itself: the parts of it, and the addresses where a loader for the BIOS puts them.
type Handover struct {
	Setup, Kernel, Initrd, Cmdline                 []byte // Cmdline ends in a zero
	SetupAddr, KernelAddr, InitrdAddr, CmdlineAddr uint32

	im Image
}

// Places of the parts, and what is left free for ACPI tables at the end of the memory below 4 GiB.
const (
	handoverSetup, handoverCmdline = 0x10000, 0x20000
	handoverTables                 = 0x28000
)

// HandsOver tells whether a kernel is one that HandOver takes: a Linux bzImage.
func HandsOver(kernel string) bool {
	m, err := openKernel(kernel)
	if err != nil {
		return false
	}
	defer m.Close()
	_, err = parseSetup(m.data)
	return err == nil
}

// HandOver reads the kernel (and the initrd) of cfg, which must be a bzImage. below is the end of the memory below 4 GiB.
func HandOver(cfg *Config, below uint64) (*Handover, error) {
	file, err := openKernel(cfg.Kernel)
	if err != nil {
		return nil, err
	}
	h := &Handover{SetupAddr: handoverSetup, KernelAddr: bzImageLoadAddress, CmdlineAddr: handoverCmdline, im: Image{files: []mapping{file}}}
	if err := h.read(cfg, file.data, below); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Handover) read(cfg *Config, kernel []byte, below uint64) error {
	s, err := parseSetup(kernel)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	h.Setup, h.Kernel = append([]byte(nil), kernel[:s.payload]...), kernel[s.payload:]
	h.Cmdline = append([]byte(cfg.Cmdline), 0)
	le.PutUint32(h.Setup[setupCmdline:], h.CmdlineAddr)
	h.Setup[setupLoaderType] = loaderTypeQEMU
	h.Setup[setupLoadFlags] |= canUseHeap
	le.PutUint16(h.Setup[setupHeapEnd:], uint16(handoverCmdline-handoverSetup-entry64Offset))
	if cfg.Initrd == "" {
		return nil
	}
	if h.Initrd, err = h.im.openInitrd(cfg.Initrd); err != nil {
		return err
	}
	limit := min(s.initrdMax, max(below, handoverTables+1)-handoverTables-1)
	size := uint64(len(h.Initrd))
	if size >= limit {
		return fmt.Errorf("initrd is too large, cannot support.(max: %d, need %d)", limit, size)
	}
	h.InitrdAddr = uint32(alignDown(limit-size, pageSize))
	le.PutUint32(h.Setup[setupRamdisk:], h.InitrdAddr)
	le.PutUint32(h.Setup[setupRamdiskSize:], uint32(size))
	return nil
}

// Close releases the files; the parts must not be used afterwards.
func (h *Handover) Close() error { return h.im.Close() }
