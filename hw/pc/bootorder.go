package pc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"goemu/hw/firmware/fwcfg"
	"goemu/hw/qdev"
	"goemu/hw/timer/mc146818"
)

// BootOrder is what firmware starts from: letters of devices (Once until the first reset), and times in milliseconds, -1 for none.
type BootOrder struct {
	Order, Once   string
	Menu, Strict  bool
	Wait, Restart int
	NoCheck       bool // the BIOS does not check a floppy disk's signature
}

// check checks the letters.
func (b *BootOrder) check() error {
	for _, s := range []string{b.Order, b.Once} {
		if err := mc146818.CheckBoot(s); err != nil {
			return err
		}
	}
	return nil
}

// first is the order until the first reset.
func (b *BootOrder) first() string {
	if b.Once != "" {
		return b.Once
	}
	return b.Order
}

// SetBoot changes the order from which the BIOS starts at the next reset. Preconditions: the machine lock is held.
func (m *Machine) SetBoot(order string) error {
	if m.rtc == nil {
		return errors.New("no function defined to set boot device list for this architecture")
	}
	for i, c := range order {
		switch {
		case c < 'a' || c > 'p':
			return fmt.Errorf("Invalid boot device '%c'", c)
		case strings.ContainsRune(order[:i], c):
			return fmt.Errorf("Boot device '%c' was given twice", c)
		}
	}
	if err := mc146818.CheckBoot(order); err != nil {
		return err
	}
	m.cfg.BootOrder.Order = order
	m.rtc.SetBoot(order, m.cfg.BootOrder.NoCheck)
	return nil
}

// bootItems gives firmware what -boot says besides the order.
func (m *Machine) bootItems() error {
	b := &m.cfg.BootOrder
	m.fw.SetU16(fwcfg.KeyBootMenu, uint16(b2i(b.Menu)))
	m.fw.SetU16(fwcfg.KeyNographic, uint16(b2i(!m.cfg.Props.Graphics)))
	if b.Wait >= 0 {
		if err := m.fw.AddFile("etc/boot-menu-wait", binary.LittleEndian.AppendUint16(nil, uint16(b.Wait))); err != nil {
			return err
		}
	}
	return m.fw.AddFile("etc/boot-fail-wait", binary.LittleEndian.AppendUint32(nil, uint32(int32(b.Restart))))
}

// pciPath is where the paths of PCI's devices begin.
const pciPath = "/pci@i0cf8/"

// bootList is the file "bootorder": the paths of devices with a bootindex in their order.
func (m *Machine) bootList() ([]byte, error) {
	type place struct {
		index int32
		path  string
	}
	var list []place
	for _, d := range m.Tree.Devices() {
		for _, p := range qdev.BootPlaces(d) {
			if slices.ContainsFunc(list, func(x place) bool { return x.index == p.Index }) {
				return nil, fmt.Errorf("The bootindex %d has already been used", p.Index)
			}
			list = append(list, place{p.Index, pciPath + qdev.FirmwarePath(d) + p.Suffix})
		}
	}
	slices.SortFunc(list, func(a, b place) int { return int(a.index) - int(b.index) })
	var lines []string
	if m.cfg.BootROM != "" {
		lines = append(lines, "/rom@"+m.cfg.BootROM)
	}
	for _, p := range list {
		lines = append(lines, p.path)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	if m.cfg.BootOrder.Strict {
		lines = append(lines, "HALT")
	}
	return append([]byte(strings.Join(lines, "\n")), 0), nil
}

// geometries is the file "bios-geometry": the paths of disks with what the BIOS is to report of them, in the order in which they came.
func (m *Machine) geometries() []byte {
	var lines []string
	for _, d := range m.Tree.Devices() {
		if s, is := d.(qdev.Shaped); is {
			if cyls, heads, secs, ok := s.BIOSGeometry(); ok {
				_, suffix, _ := s.BootPlace()
				lines = append(lines, fmt.Sprintf("%s%s%s %d %d %d", pciPath, qdev.FirmwarePath(d), suffix, cyls, heads, secs))
			}
		}
	}
	if lines == nil {
		return nil
	}
	return append([]byte(strings.Join(lines, "\n")), 0)
}

// describeBoot tells firmware what is there to boot from. Devices may have come and gone since it was last done; a reset, too, removes some.
func (m *Machine) describeBoot() error {
	if m.fw == nil {
		return nil
	}
	list, err := m.bootList()
	if err == nil {
		err = m.fw.ReplaceFile("bootorder", list)
	}
	if err == nil {
		err = m.fw.ReplaceFile("bios-geometry", m.geometries())
	}
	return err
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
