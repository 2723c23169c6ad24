package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Offsets in a bzImage and, the same, in the zero page (Documentation/x86/boot.rst and zero-page.rst of Linux).
const (
	setupSects        = 0x1f1
	setupVidMode      = 0x1fa
	setupBootFlag     = 0x1fe
	setupJump         = 0x201 // distance from 0x202 to the end of the header
	setupMagic        = 0x202
	setupVersion      = 0x206
	setupLoaderType   = 0x210
	setupLoadFlags    = 0x211
	setupCode32       = 0x214
	setupRamdisk      = 0x218
	setupRamdiskSize  = 0x21c
	setupHeapEnd      = 0x224
	setupCmdline      = 0x228
	setupInitrdMax    = 0x22c
	setupAlignment    = 0x230
	setupRelocatable  = 0x234
	setupXLoadFlags   = 0x236
	setupCmdlineSize  = 0x238
	setupPrefAddress  = 0x258
	setupInitSize     = 0x260
	setupHeaderStart  = setupSects
	setupSmallestFile = 0x264

	zeroRSDP        = 0x070
	zeroE820Entries = 0x1e8
	zeroE820Table   = 0x2d0
	zeroE820Max     = 128
	zeroAltMemK     = 0x1e0
	zeroExtMemK     = 0x002
	zeroPageSize    = 4096

	// The kernel's struct screen_info.
	zeroVideoMode, zeroVideoColumns = 0x006, 0x007
	zeroVideoEGA                    = 0x00a
	zeroVideoLines, zeroVideoIsVGA  = 0x00e, 0x00f
	zeroVideoPoints                 = 0x010
	egaColor256K                    = 3 // INT 10h, AH=12h, BL=10h: colour, 256 KiB or more
)

// Values of header fields.
const (
	linuxMagic    = 0x53726448 // "HdrS"
	bootFlagMagic = 0xaa55

	loadedHigh = 1 << 0 // loadflags: the protected-mode code goes to 1 MiB or above
	canUseHeap = 1 << 7

	xlfKernel64      = 1 << 0 // xloadflags: 64-bit entry point at 0x200
	xlfAbove4G       = 1 << 1 // kernel, initrd and the rest may lie above 4 GiB
	loaderTypeQEMU   = 0xb0   // the identifier QEMU has
	entry64Offset    = 0x200
	defaultSetupSect = 4 // setup_sects of 0 means 4
	sectorSize       = 512

	oldestProtocol      = 0x0200 // before it there is no initrd and no header
	oldestDirectBoot    = 0x0206 // the first with a limit for the command line
	prefAddressProtocol = 0x020a
	xloadProtocol       = 0x020c
	bzImageLoadAddress  = 0x100000
)

// setup is the setup header of a bzImage, checked.
type setup struct {
	version     uint16
	headerEnd   int // offset after the header's last byte
	payload     int // offset of the protected-mode code
	loadFlags   uint8
	xloadFlags  uint16
	relocatable bool
	alignment   uint64
	initrdMax   uint64
	cmdlineSize uint64
	prefAddress uint64
	initSize    uint64
}

// hasLinuxMagic tells whether the file has a Linux setup header at all.
func hasLinuxMagic(b []byte) bool {
	return len(b) >= setupMagic+4 && binary.LittleEndian.Uint32(b[setupMagic:]) == linuxMagic
}

// parseSetup reads the setup header and checks that the file is whole.
func parseSetup(b []byte) (setup, error) {
	le := binary.LittleEndian
	if len(b) < setupSmallestFile || !hasLinuxMagic(b) || le.Uint16(b[setupBootFlag:]) != bootFlagMagic {
		return setup{}, errInvalidKernel
	}
	s := setup{version: le.Uint16(b[setupVersion:]), loadFlags: b[setupLoadFlags]}
	if s.version < oldestDirectBoot {
		return s, fmt.Errorf("linux kernel too old: boot protocol %d.%02d, at least %d.%02d is needed",
			s.version>>8, s.version&0xff, oldestDirectBoot>>8, oldestDirectBoot&0xff)
	}
	if s.loadFlags&loadedHigh == 0 {
		return s, errors.New("linux kernel too old: a zImage cannot be booted, only a bzImage")
	}
	s.headerEnd = setupMagic + int(b[setupJump])
	sects := int(b[setupSects])
	if sects == 0 {
		sects = defaultSetupSect
	}
	s.payload = (sects + 1) * sectorSize
	if s.payload >= len(b) || s.headerEnd > s.payload {
		return s, errInvalidKernel
	}
	s.initrdMax = uint64(le.Uint32(b[setupInitrdMax:]))
	s.alignment = uint64(le.Uint32(b[setupAlignment:]))
	s.relocatable = b[setupRelocatable] != 0
	s.cmdlineSize = uint64(le.Uint32(b[setupCmdlineSize:]))
	s.prefAddress, s.initSize = bzImageLoadAddress, uint64(len(b)-s.payload)
	if s.version >= prefAddressProtocol {
		s.prefAddress = le.Uint64(b[setupPrefAddress:])
		s.initSize = max(s.initSize, uint64(le.Uint32(b[setupInitSize:])))
	}
	if s.version >= xloadProtocol {
		s.xloadFlags = le.Uint16(b[setupXLoadFlags:])
		if s.xloadFlags&xlfAbove4G != 0 {
			s.initrdMax = 1<<32 - 1
		}
	}
	return s, s.checkPayload(b)
}

// syssize (in 16-byte paragraphs) tells how long the protected-mode code is; a file that is shorter was cut off.
const (
	setupSysSize  = 0x1f4
	paragraphSize = 16
)

func (s *setup) checkPayload(b []byte) error {
	want := uint64(binary.LittleEndian.Uint32(b[setupSysSize:])) * paragraphSize
	have := uint64(len(b) - s.payload)
	// The field counts a checksum or a signature in some builds and not in others, and rounds up to a paragraph.
	if have+paragraphSize < want {
		return fmt.Errorf("invalid kernel header: the file is cut off (%d bytes of code, the header says %d)", have, want)
	}
	if s.alignment&(s.alignment-1) != 0 || s.alignment > 1<<30 {
		return errInvalidKernel
	}
	return nil
}

// loadAddress picks where the kernel goes: the address it prefers when that is free memory, else the lowest aligned one that holds it.
func (s *setup) loadAddress(mem []E820) (uint64, bool) {
	if usable(mem, s.prefAddress, s.initSize) {
		return s.prefAddress, true
	}
	if s.relocatable {
		align := max(s.alignment, pageSize)
		for _, e := range mem {
			if e.Type != RAMUsable || e.Addr+e.Size <= bzImageLoadAddress || e.Addr >= 1<<32 {
				continue
			}
			if at := alignUp(max(e.Addr, bzImageLoadAddress), align); usable(mem, at, s.initSize) {
				return at, true
			}
		}
	}
	return 0, false
}

// loadLinux lays out a bzImage.
func (im *Image) loadLinux(cfg *Config, kernel []byte) error {
	s, err := parseSetup(kernel)
	if err != nil {
		if cfg.Initrd != "" && s.version != 0 && s.version < oldestProtocol {
			return errors.New("linux kernel too old to load a ram disk")
		}
		return err
	}
	im.Kind, im.Protocol = KindLinux, s.version
	if cfg.NoLong && s.xloadFlags&xlfKernel64 != 0 {
		return fmt.Errorf("could not load kernel '%s': this kernel requires an x86-64 CPU", cfg.Kernel)
	}
	at, ok := s.loadAddress(cfg.Memory)
	if !ok {
		return fmt.Errorf("could not load kernel '%s': it needs %d MiB of memory from 0x%x on", cfg.Kernel, alignUp(s.initSize, 1<<20)>>20, s.prefAddress)
	}
	zero := make([]byte, zeroPageSize)
	copy(zero[setupHeaderStart:], kernel[setupHeaderStart:min(s.headerEnd, zeroE820Table)])
	im.Segments = append(im.Segments, Segment{Name: "kernel", Addr: at, Data: kernel[s.payload:], Size: uint64(len(kernel) - s.payload)})
	if err := im.addInitrd(cfg, &s, zero, at+s.initSize); err != nil {
		return err
	}
	if err := im.addCmdline(cfg, &s, zero); err != nil {
		return err
	}
	fillZeroPage(cfg, zero, at)
	im.add("zero page", zeroPageAddr, zero)
	im.setEntry(cfg, &s, at)
	return nil
}

// fillZeroPage sets the fields a boot loader owns.
func fillZeroPage(cfg *Config, zero []byte, at uint64) {
	le := binary.LittleEndian
	zero[setupLoaderType] = loaderTypeQEMU
	zero[setupLoadFlags] |= canUseHeap
	le.PutUint32(zero[setupCode32:], uint32(at))
	le.PutUint16(zero[setupHeapEnd:], 0xfe00)
	le.PutUint64(zero[zeroRSDP:], cfg.RSDP)
	if t := cfg.Screen; t != nil {
		zero[zeroVideoMode], zero[zeroVideoColumns], zero[zeroVideoLines], zero[zeroVideoIsVGA] = t.Mode, t.Columns, t.Lines, 1
		le.PutUint16(zero[zeroVideoEGA:], egaColor256K)
		le.PutUint16(zero[zeroVideoPoints:], uint16(t.GlyphLines))
	}
	n := putE820(zero[zeroE820Table:zeroE820Table+zeroE820Max*e820EntrySize], cfg.Memory)
	zero[zeroE820Entries] = uint8(n)
	if top := topBelow(cfg.Memory, 1<<32); top > bzImageLoadAddress {
		kib := (top - bzImageLoadAddress) >> 10
		le.PutUint32(zero[zeroAltMemK:], uint32(kib))
		le.PutUint16(zero[zeroExtMemK:], uint16(min(kib, 0xfc00)))
	}
}

// addInitrd places the initial RAM disk as high as the kernel and the memory allow.
func (im *Image) addInitrd(cfg *Config, s *setup, zero []byte, kernelEnd uint64) error {
	if cfg.Initrd == "" {
		return nil
	}
	data, err := im.openInitrd(cfg.Initrd)
	if err != nil {
		return err
	}
	at, err := placeInitrd(cfg.Memory, s.initrdMax, kernelEnd, uint64(len(data)))
	if err != nil {
		return err
	}
	im.add("initrd", at, data)
	binary.LittleEndian.PutUint32(zero[setupRamdisk:], uint32(at))
	binary.LittleEndian.PutUint32(zero[setupRamdiskSize:], uint32(len(data)))
	return nil
}

// placeInitrd returns the highest page where size bytes end at or below limit, in usable memory and above floor.
func placeInitrd(mem []E820, limit, floor, size uint64) (uint64, error) {
	top := min(topBelow(mem, 1<<32), limit+1)
	at := alignDown(top-min(size, top), pageSize)
	if size > top || at < floor || !usable(mem, at, size) {
		return 0, fmt.Errorf("initrd is too large, cannot support.(max: %d, need %d)", top-1, size)
	}
	return at, nil
}

// addCmdline places the command line and checks its length against the kernel's limit.
func (im *Image) addCmdline(cfg *Config, s *setup, zero []byte) error {
	limit := s.cmdlineSize
	if limit == 0 {
		limit = 255
	}
	if uint64(len(cfg.Cmdline)) > min(limit, cmdlineRoom-1) {
		return fmt.Errorf("kernel command line is too long: %d bytes, the kernel takes %d", len(cfg.Cmdline), min(limit, cmdlineRoom-1))
	}
	im.add("command line", cmdlineAddr, append([]byte(cfg.Cmdline), 0))
	binary.LittleEndian.PutUint32(zero[setupCmdline:], cmdlineAddr)
	return nil
}

// setEntry fills the CPU state: 64-bit entry when the kernel and the CPU have it, else 32-bit.
func (im *Image) setEntry(cfg *Config, s *setup, at uint64) {
	im.CPU = CPU{RSI: zeroPageAddr, RSP: stackTop, CS: linuxCS, DS: linuxDS, DescriptorsFromGDT: true}
	im.CPU.GDTBase, im.CPU.GDTLimit = gdtAddr, uint16(linuxGDTSize-1)
	if cfg.Use32 || s.xloadFlags&xlfKernel64 == 0 {
		im.CPU.Mode, im.CPU.RIP = Protected32, at
		im.add("GDT", gdtAddr, linuxGDT(false))
		return
	}
	im.CPU.Mode, im.CPU.RIP, im.CPU.CR3 = Long, at+entry64Offset, pageTableAddr
	im.add("GDT", gdtAddr, linuxGDT(true))
	im.add("page tables", pageTableAddr, identityTables())
}
