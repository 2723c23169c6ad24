package pc

import (
	"encoding/binary"
	"fmt"
	"os"

	"goemu/hw/display/ramfb"
	"goemu/hw/firmware"
	"goemu/hw/firmware/acpi"
	"goemu/hw/firmware/fwcfg"
	"goemu/hw/firmware/loader"
	"goemu/hw/pci"
	"goemu/target/x86"
)

// loadBoot reads the kernel, or checks that there is firmware to start.
func (m *Machine) loadBoot() (err error) {
	if err := m.connectGeneration(); err != nil {
		return err
	}
	if err := m.connectCoreInfo(); err != nil {
		return err
	}
	if m.fw != nil {
		if err := ramfb.Connect(m.Tree, m.fw, m.memory, readROM); err != nil {
			return err
		}
	}
	fw := m.firmwareMachine()
	for _, o := range m.cfg.SMBIOS {
		if err := fw.SMBIOS.Apply(o.Members); err != nil {
			return fmt.Errorf("%s: %w", o.Origin, err)
		}
	}
	if err := m.placeOnboard(fw.SMBIOS); err != nil {
		return err
	}
	for _, d := range m.isaDevices() {
		if d.Kind == acpi.ISAPanic {
			if err := m.fw.AddFile("etc/pvpanic-port", binary.LittleEndian.AppendUint16(nil, d.Port)); err != nil {
				return err
			}
		}
	}
	if !m.startsKernel() {
		if err := m.handKernelOver(); err != nil {
			return err
		}
		if err := m.addTables(fw.ACPI); err != nil {
			return err
		}
		return m.addFiles(firmware.Files(fw))
	}
	if m.setup, err = firmware.Build(fw); err != nil {
		return err
	}
	lc := m.cfg.Boot
	lc.Cmdline += m.chips.commandLine(m)
	if fw.TextScreen {
		lc.Screen = &loader.Screen{Mode: firmware.TextMode, Columns: firmware.TextColumns, Lines: firmware.TextLines, GlyphLines: firmware.GlyphLines}
	}
	lc.Memory, lc.RSDP = m.setup.E820, m.setup.RSDP
	lm, _ := x86.FeatureByName("lm")
	lc.NoLong = !m.cfg.CPU.Features.Has(lm)
	m.image, err = loader.Load(&lc)
	return err
}

// startsKernel tells whether the first CPU begins in a kernel and not in firmware.
func (m *Machine) startsKernel() bool {
	return m.cfg.Boot.Kernel != "" && m.cfg.Props.Flash[0] == "" && m.cfg.BIOS == nil
}

// handKernelOver gives firmware the kernel that it is to start.
func (m *Machine) handKernelOver() (err error) {
	if m.cfg.Boot.Kernel == "" {
		return nil
	}
	if m.handed, err = loader.HandOver(&m.cfg.Boot, m.map_.below); err != nil {
		return err
	}
	h := m.handed
	for _, p := range []struct {
		addr, size, data uint16
		at               uint32
		b                []byte
	}{
		{fwcfg.KeySetupAddr, fwcfg.KeySetupSize, fwcfg.KeySetupData, h.SetupAddr, h.Setup},
		{fwcfg.KeyKernelAddr, fwcfg.KeyKernelSize, fwcfg.KeyKernelData, h.KernelAddr, h.Kernel},
		{fwcfg.KeyInitrdAddr, fwcfg.KeyInitrdSize, fwcfg.KeyInitrdData, h.InitrdAddr, h.Initrd},
		{fwcfg.KeyCmdlineAddr, fwcfg.KeyCmdlineSize, fwcfg.KeyCmdlineData, h.CmdlineAddr, h.Cmdline},
	} {
		m.fw.SetU32(p.addr, p.at)
		m.fw.SetU32(p.size, uint32(len(p.b)))
		m.fw.Set(p.data, p.b)
	}
	return nil
}

// readROM returns an expansion ROM of the distribution's, nil if it is not installed.
func readROM(name string) []byte {
	b, err := os.ReadFile(pci.FindROM(name))
	if err != nil {
		return nil
	}
	return b
}

// resetVector is what a kernel finds that jumps to the firmware's entry in real mode to restart the machine: an empty interrupt table
// and a breakpoint, which end in a triple fault.
var resetVector = loader.Segment{Name: "reset vector", Addr: 0xffff0, Size: 16, Data: []byte{
	0x2e, 0x0f, 0x01, 0x1e, 0xf8, 0xff, // lidt cs:[0xfff8]
	0xcc, // int3
	0xf4, // hlt
	0, 0, 0, 0, 0, 0, 0, 0,
}}

// placeBoot puts the boot images into memory and the first CPU at their entry. Without a kernel the CPU starts the firmware.
func (m *Machine) placeBoot() {
	if m.image == nil {
		return
	}
	for _, list := range [][]loader.Segment{m.setup.Segments, m.image.Segments, {resetVector}} {
		for i := range list {
			s := &list[i]
			m.memory.WriteROM(s.Addr, s.Data)
			if pad := s.Size - uint64(len(s.Data)); pad > 0 {
				m.zero(s.Addr+uint64(len(s.Data)), pad)
			}
		}
	}
	for _, c := range m.cpus {
		for _, r := range m.setup.MSRs {
			c.SetMSR(r.Index, r.Value)
		}
	}
	m.placeGeneration()
	setEntry(m.cpus[0], &m.image.CPU)
}

// zero clears guest memory.
func (m *Machine) zero(addr, n uint64) {
	iov, ok := m.memory.Map(addr, n, true)
	if !ok {
		return
	}
	for _, b := range iov {
		clear(b)
	}
	m.memory.MarkDirty(addr, n)
}

// Descriptor flags of the flat segments that the loader asks for.
const (
	flatCode32 = x86.SegP | x86.SegS | x86.SegCode | x86.SegR | x86.SegA | x86.SegB | x86.SegG
	flatCode64 = x86.SegP | x86.SegS | x86.SegCode | x86.SegR | x86.SegA | x86.SegL | x86.SegG
	flatData   = x86.SegP | x86.SegS | x86.SegW | x86.SegA | x86.SegB | x86.SegG
)

// realIDTLimit is the limit of the real-mode interrupt table, which no kernel finds changed.
const realIDTLimit = 0x3ff

// setEntry gives a CPU the state at a kernel's entry point.
func setEntry(c CPU, s *loader.CPU) {
	e := c.Env()
	code := uint32(flatCode32)
	e.CR[0] = x86.CR0PE | x86.CR0ET
	if s.Mode == loader.Long {
		code = flatCode64
		e.CR[0] |= x86.CR0PG
		e.CR[3] = s.CR3
		e.CR[4] = x86.CR4PAE
		e.EFER = x86.EFERLME | x86.EFERLMA
	}
	e.Seg[x86.CS] = x86.Segment{Selector: s.CS, Limit: ^uint32(0), Flags: code}
	for _, i := range []int{x86.DS, x86.ES, x86.SS, x86.FS, x86.GS} {
		e.Seg[i] = x86.Segment{Selector: s.DS, Limit: ^uint32(0), Flags: flatData}
	}
	if s.TR != 0 {
		e.Seg[x86.TR].Selector = s.TR
	}
	e.GDT = x86.Table{Base: s.GDTBase, Limit: uint32(s.GDTLimit)}
	e.IDT = x86.Table{Limit: realIDTLimit}
	e.Regs[x86.RAX], e.Regs[x86.RBX], e.Regs[x86.RSI], e.Regs[x86.RSP] = s.RAX, s.RBX, s.RSI, s.RSP
	e.PC = s.RIP
	e.SetCPL(0)
	e.UpdateHFlags()
}

// internalError reports a bug of the emulator with the state of the CPU.
func internalError(text string) { fmt.Fprintln(os.Stderr, text) }
