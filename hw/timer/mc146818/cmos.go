package mc146818

import (
	"errors"
	"fmt"
)

// Bytes of a PC's CMOS memory that describe the machine to its firmware.
const (
	cmosFloppies                       = 0x10
	cmosEquipment                      = 0x14
	cmosBaseMemory                     = 0x15 // KiB, two bytes
	cmosExtMemory                      = 0x17 // KiB above 1 MiB, two bytes, repeated at 0x30
	cmosExtMemory2                     = 0x30
	cmosMemoryAt16M                    = 0x34 // 64 KiB blocks above 16 MiB, two bytes
	cmosBootFlags                      = 0x38 // third boot device, floppy signature check
	cmosBootDevices                    = 0x3d // second and first boot device
	cmosMemoryAt4G                     = 0x5b // 64 KiB blocks above 4 GiB, three bytes
	cmosCPUs                           = 0x5f // processors less one
	equipmentFloppy, equipmentFloppies = 0x01, 0x41
	equipmentFPU                       = 0x02
	equipmentMouse                     = 0x04
	baseMemoryKB                       = 640
	maxWord                            = 0xffff
	blockShift                         = 16
	mib, sixteenMiBs                   = 1 << 20, 16 << 20
)

// PC describes a machine to the firmware.
type PC struct {
	Below4G, Above4G uint64 // bytes of RAM
	CPUs             int
	Boot             string // order of boot devices, letters as -boot has them
	NoCheck          bool   // of floppy disks' signatures
}

// bootDevices is how many boot devices CMOS memory holds, bootNoCheck the flag that floppy disks are not checked.
const bootDevices, bootNoCheck = 3, 1

// bootNibbles are the codes of boot devices.
var bootNibbles = map[byte]uint8{'a': 1, 'b': 1, 'c': 2, 'd': 3, 'n': 4}

// SetPC fills in the machine's description as QEMU does.
func (r *RTC) SetPC(m PC) {
	word := func(at int, v uint64) {
		v = min(v, maxWord)
		r.SetCMOS(at, uint8(v))
		r.SetCMOS(at+1, uint8(v>>8))
	}
	above := func(v, base uint64) uint64 { return max(v, base) - base }
	word(cmosBaseMemory, min(m.Below4G>>10, baseMemoryKB))
	word(cmosExtMemory, above(m.Below4G, mib)>>10)
	word(cmosExtMemory2, above(m.Below4G, mib)>>10)
	word(cmosMemoryAt16M, above(m.Below4G, sixteenMiBs)>>blockShift)
	for i := range 3 {
		r.SetCMOS(cmosMemoryAt4G+i, uint8(m.Above4G>>blockShift>>(8*i)))
	}
	r.SetCPUs(m.CPUs)
	r.SetBoot(m.Boot, m.NoCheck)
	r.SetFloppies(0, 0)
}

// SetFloppies tells of the kinds of the floppy drives, 0 where there is none.
func (r *RTC) SetFloppies(a, b uint8) {
	r.SetCMOS(cmosFloppies, a<<4|b)
	v := uint8(equipmentFPU | equipmentMouse)
	switch {
	case a != 0 && b != 0:
		v |= equipmentFloppies
	case a != 0 || b != 0:
		v |= equipmentFloppy
	}
	r.SetCMOS(cmosEquipment, v)
}

// CheckBoot checks that the BIOS can be told an order of boot devices.
func CheckBoot(order string) error {
	if len(order) > bootDevices {
		return errors.New("Too many boot devices for PC")
	}
	for i := range len(order) {
		if bootNibbles[order[i]] == 0 {
			return fmt.Errorf("Invalid boot device for PC: '%c'", order[i])
		}
	}
	return nil
}

// SetBoot tells the BIOS an order of boot devices, letters as -boot has them, and whether to do without the check of floppy disks.
func (r *RTC) SetBoot(order string, noFloppyCheck bool) {
	var boot [bootDevices]uint8
	for i := range min(len(order), len(boot)) {
		boot[i] = bootNibbles[order[i]]
	}
	r.SetCMOS(cmosBootDevices, boot[1]<<4|boot[0])
	flags := boot[2] << 4
	if noFloppyCheck {
		flags |= bootNoCheck
	}
	r.SetCMOS(cmosBootFlags, flags)
}

// SetCPUs says how many processors there are; what a byte cannot hold is in the firmware configuration alone.
func (r *RTC) SetCPUs(n int) {
	if n > 0xff {
		n = 1
	}
	r.SetCMOS(cmosCPUs, uint8(n-1))
}
