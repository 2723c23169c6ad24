package pc

import (
	"strconv"

	"goemu/hw/flash"
	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/memory"
)

// isaBIOSMax is how much of the end of the firmware image is also seen below 1 MiB.
const isaBIOSMax = 128 << 10

// mapBIOS puts the firmware image at the end of the first 4 GiB, where the CPU starts after reset, and its end below 1 MiB.
func (m *Machine) mapBIOS() error {
	if m.pci != nil {
		if err := m.optionROMs(); err != nil {
			return err
		}
	}
	if m.cfg.Props.Flash[0] != "" {
		return m.mapFlash()
	}
	size := uint64(len(m.cfg.BIOS))
	if size == 0 {
		return nil
	}
	rom, err := memory.NewROM("pc.bios", size)
	if err != nil {
		return err
	}
	rom.SetReadOnly(m.pci != nil) // without a host bridge, firmware cannot get writable RAM in its place
	copy(rom.RAM().Bytes(), m.cfg.BIOS)
	m.mem.Add(rom, fourGiB-size, 0)
	low := min(size, isaBIOSMax)
	m.biosParent().Add(memory.NewAlias("isa-bios", rom, size-low, low), romTop-low, 1)
	return nil
}

// mapFlash puts the flash chips at the end of the first 4 GiB, the first one at the top. What the first one ends with is also seen below
// 1 MiB.
func (m *Machine) mapFlash() error {
	top, left := uint64(fourGiB), uint64(flash.MaxFirmware)
	for i, drive := range m.cfg.Props.Flash {
		if drive == "" {
			break
		}
		f, err := flash.New(m.Tree, "system.flash"+strconv.Itoa(i), drive, left)
		if err != nil {
			return err
		}
		r := f.Region()
		top, left = top-r.Size(), left-r.Size()
		if f.Secure() { // the others see what is in it and can do nothing to it
			m.mem.Add(memory.NewROMView(r.Name()+"-locked", r), top, 0)
			if m.smmRoot != nil {
				m.smmRoot.Add(r, top, 1)
			}
		} else {
			m.mem.Add(r, top, 0)
		}
		if i != 0 {
			continue
		}
		low := min(r.Size(), isaBIOSMax)
		rom, err := memory.NewROM("isa-bios", low)
		if err != nil {
			return err
		}
		copy(rom.RAM().Bytes(), r.RAM().Bytes()[r.Size()-low:])
		m.biosParent().Add(rom, romTop-low, 1)
	}
	return nil
}

// biosParent is where the window below 1 MiB belongs: behind the chipset's shadowing where there is one.
func (m *Machine) biosParent() *memory.Region {
	if r := m.chips.pciMemory(); r != nil {
		return r
	}
	return m.mem
}

// displayAdapter makes the adapter on board.
func (m *Machine) displayAdapter() error {
	if m.cfg.VGA == "" {
		return nil
	}
	c := m.cfg.Registry.Lookup(m.cfg.VGA)
	d, err := m.Tree.New(c)
	if err != nil {
		return err
	}
	if rom, _ := qdev.Get(d, "romfile"); pci.FindROM(rom) == "" { // a kernel that is booted directly does without
		if err := qdev.Set(d, nil, "romfile", ""); err != nil {
			return err
		}
	}
	return qdev.Realize(d, m.pci)
}

// optionROMs puts the memory in place that firmware finds where adapters have their ROMs.
func (m *Machine) optionROMs() error {
	rom, err := memory.NewROM("pc.rom", isaBIOSMax)
	if err != nil {
		return err
	}
	m.biosParent().Add(rom, vgaTop, 1)
	return nil
}
