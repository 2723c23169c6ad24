package pc

import (
	"fmt"
	"strconv"

	"goemu/hw/disk"
	idepiix "goemu/hw/ide/piix"
	"goemu/hw/qdev"
	"goemu/internal/mainloop"
)

const devfnIDE = 1<<3 | 1

// ideFunction makes the PIIX3's IDE function.
func (m *Machine) ideFunction() error {
	f, err := idepiix.New(m.Tree, idepiix.PIIX3Class, m.pci, devfnIDE)
	if err != nil {
		return err
	}
	m.ide, m.setupIDE = f.Buses[:], f.SetupChannels
	return nil
}

// AddDrive puts a drive at position index of the machine's IDE channels, as -drive if=ide does.
func (m *Machine) AddDrive(index int, id string, cdrom bool) error {
	bus, unit := index/m.cfg.Type.DrivesPerBus(), index%m.cfg.Type.DrivesPerBus()
	if bus >= len(m.ide) {
		return fmt.Errorf("machine type does not support if=ide,bus=%d,unit=%d", bus, unit)
	}
	class := m.cfg.Registry.Lookup("ide-hd")
	set := []qdev.Setting{{Name: "unit", Value: strconv.Itoa(unit)}, {Name: "drive", Value: id}}
	if cdrom {
		class = m.cfg.Registry.Lookup("ide-cd")
	}
	_, err := m.Tree.Create(class, m.ide[bus], set...)
	return err
}

// DrivesPerBus is the number of drives on an IDE bus of the machine's.
func (t *Type) DrivesPerBus() int {
	if t.limit != 0 { // AHCI
		return 1
	}
	return 2
}

// CMOS bytes that describe disks to the BIOS: the types of the first two, both of them "in the extended byte", their geometries and the
// translations of four.
const (
	cmosDiskTypes, cmosDisk0Type, cmosDisk0, cmosDisk1 = 0x12, 0x19, 0x1b, 0x24
	cmosTranslations                                   = 0x39
	userType                                           = 47
)

// describeDisks tells the BIOS about the disks.
func (m *Machine) describeDisks() {
	var types, translations uint8
	for i := range 2 * min(len(m.ide), 2) { // the first two buses
		g, t, ok := m.ide[i/2].Drives[i%2].Geometry()
		if !ok {
			continue
		}
		translations |= uint8(t-disk.TranslateNone) << (2 * i)
		if i > 1 {
			continue
		}
		types |= 0xf0 >> (4 * i)
		m.rtc.SetCMOS(cmosDisk0Type+i, userType)
		at, flags := [2]int{cmosDisk0, cmosDisk1}[i], uint8(0xc0)
		if g.Heads > 8 {
			flags |= 8
		}
		for j, v := range []uint8{uint8(g.Cyls), uint8(g.Cyls >> 8), uint8(g.Heads), 0xff, 0xff, flags, uint8(g.Cyls), uint8(g.Cyls >> 8), uint8(g.Secs)} {
			m.rtc.SetCMOS(at+j, v)
		}
	}
	m.rtc.SetCMOS(cmosDiskTypes, types)
	m.rtc.SetCMOS(cmosTranslations, translations)
}

// restarter is a disk that tries again what an error has stopped.
type restarter interface{ Started() }

// runChanged lets timers and disks finish what they do when the machine stops, and disks go on when it runs.
func (m *Machine) runChanged(running bool) {
	if !running {
		m.timers.Settle()
		disk.DrainAll()
		return
	}
	for _, d := range m.Tree.Devices() {
		if r, ok := d.(restarter); ok {
			r.Started()
		}
	}
}

// settleRounds bounds how long devices are waited for that give each other work.
const settleRounds = 1000

// Settle finishes what the devices of a machine that has stopped have left for the main loop and for the host, so that nothing changes any
// more. It must not be called on the main loop, and not with the machine lock held.
func (m *Machine) Settle() {
	for range settleRounds {
		mainloop.Main.Barrier()
		mainloop.Lock.Lock()
		busy := disk.DrainAll() || mainloop.Main.Posted()
		mainloop.Lock.Unlock()
		if !busy {
			return
		}
	}
}

var _ restarter = (*idepiix.IDE)(nil)
