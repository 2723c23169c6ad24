package pc

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/fwcfg"
	"goemu/hw/input"
	"goemu/hw/qdev"
	"goemu/hw/vmport"
	"goemu/target/x86"
)

// keyboard makes the i8042 with keyboard and mouse.
func (m *Machine) keyboard() error {
	if !m.cfg.Props.I8042 {
		return nil
	}
	c, err := input.NewI8042(m.Tree, m.isa, m.a20Line(), m.VM)
	if err != nil || !m.cfg.Type.HasProp("vmport") || m.cfg.Props.VMPort == qdev.Off {
		return err
	}
	m.vmport, err = vmport.New(m.Tree, m.isa, vmport.Config{RAM: m.cfg.RAM, UUID: m.uuid(), X2APIC: m.HasFeature(x86.FeatX2APIC)})
	if err != nil {
		return err
	}
	link := &vmport.I8042{Path: c.QOM().Path(), Nudge: c.Mouse.Nudge}
	qdev.Link(&m.Tree.Links, func(path string) (*vmport.I8042, bool) { return link, path == link.Path })
	_, err = vmport.NewMouse(m.Tree, m.isa, link)
	return err
}

// uuid is the machine's, zero if it has none.
func (m *Machine) uuid() (id [16]byte) {
	if b, err := hex.DecodeString(strings.ReplaceAll(m.cfg.UUID, "-", "")); err == nil {
		copy(id[:], b)
	}
	return id
}

// a20Line drives the gate of address line 20 of all CPUs.
func (m *Machine) a20Line() *qdev.IRQ {
	return qdev.NewIRQ(func(_ int, on bool) {
		for _, c := range m.cpus {
			c.SetA20(on)
		}
	}, 0)
}

// systemStates is one of the firmware's files: S3 and S4 can be entered, S4 with value 2.
var systemStates = []byte{0, 0, 0, 0x81, 0x82, 0x80}

// fwcfg makes the firmware configuration device with the standard items and the user's.
func (m *Machine) fwcfg() error {
	f, err := fwcfg.New(m.Tree, m.io, m.memory)
	if err != nil {
		return err
	}
	m.fw = f
	uuid := m.uuid()
	f.Set(fwcfg.KeyUUID, uuid[:])
	f.SetU64(fwcfg.KeyRAMSize, m.map_.below+m.map_.above)
	f.SetU16(fwcfg.KeyCPUs, uint16(m.cfg.CPUs))
	f.SetU16(fwcfg.KeyMaxCPUs, uint16(m.cfg.CPU.Topology.CPUs()))
	f.SetU32(fwcfg.KeyIRQ0, 1)
	if err := m.fw.AddFile("etc/system-states", systemStates); err != nil {
		return err
	}
	if m.map_.deviceSize != 0 {
		if err := m.fw.AddFile("etc/reserved-memory-end", binary.LittleEndian.AppendUint64(nil, m.map_.reservedEnd())); err != nil {
			return err
		}
	}
	if err := m.bootItems(); err != nil {
		return err
	}
	for _, it := range m.cfg.FWCfg {
		if err := f.AddFile(it.Name, it.Data); err != nil {
			return err
		}
	}
	return nil
}

// addFiles gives the firmware configuration device named items.
func (m *Machine) addFiles(files map[string][]byte) error {
	for name, data := range files {
		if err := m.fw.AddFile(name, data); err != nil {
			return err
		}
	}
	return nil
}

// addTables gives firmware the ACPI tables. They depend on what firmware has done to the machine before it reads them, and are made anew
// when it does so for the first time after a reset.
func (m *Machine) addTables(a *acpi.Machine) error {
	if a == nil {
		return nil
	}
	files := acpi.Files(a)
	renew := func() {
		if m.tablesRead {
			return
		}
		m.tablesRead = true
		for name, data := range acpi.Files(m.firmwareMachine().ACPI) {
			if len(data) == len(files[name]) {
				copy(files[name], data)
			}
		}
	}
	for name, data := range files {
		if err := m.fw.AddHooked(name, data, fwcfg.Hooks{Selected: renew}); err != nil {
			return err
		}
	}
	return nil
}
