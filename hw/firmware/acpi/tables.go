package acpi

import (
	"encoding/binary"
)

// A system description table's header (ACPI 5.2.6).
const (
	headerSize     = 36
	headerLength   = 4
	headerChecksum = 9
)

// Defaults of the identification fields.
const (
	defaultOEMID      = "BOCHS "
	defaultOEMTableID = "BXPC    "
	creatorID         = "BXPC"
)

// pad cuts or fills s with zeros to n bytes; def replaces an empty s.
func pad(s, def string, n int) []byte {
	if s == "" {
		s = def
	}
	b := make([]byte, n)
	copy(b, s)
	return b
}

// table puts a header before a body.
func (m *Machine) table(signature string, revision byte, body []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, headerSize, headerSize+len(body))
	copy(b, signature)
	b[8] = revision
	copy(b[10:], pad(m.OEMID, defaultOEMID, 6))
	copy(b[16:], pad(m.OEMTableID, defaultOEMTableID, 8))
	le.PutUint32(b[24:], 1)
	copy(b[28:], creatorID)
	le.PutUint32(b[32:], 1)
	b = append(b, body...)
	le.PutUint32(b[headerLength:], uint32(len(b)))
	setChecksum(b, headerChecksum)
	return b
}

// setChecksum makes the bytes of b add up to zero by the byte at.
func setChecksum(b []byte, at int) {
	b[at] = 0
	s := byte(0)
	for _, c := range b {
		s += c
	}
	b[at] = -s
}

// facsSize is the size of the firmware ACPI control structure (ACPI 5.2.10).
const facsSize = 64

// WakingVector is the offset in it of the physical address where the system wants to be woken, in real mode.
const WakingVector = 12

func facs() []byte {
	b := make([]byte, facsSize)
	copy(b, "FACS")
	binary.LittleEndian.PutUint32(b[4:], facsSize)
	return b
}

// FADT fields (ACPI 5.2.9) by offset from the start of the table.
const (
	fadtFACS, fadtDSDT, fadtModel, fadtSCI, fadtSMICmd             = 36, 40, 44, 46, 48
	fadtACPIEnable, fadtACPIDisable                                = 52, 53
	fadtPM1aEvt, fadtPM1aCnt, fadtPMTimer, fadtGPE0                = 56, 64, 76, 80
	fadtPM1EvtLen, fadtPM1CntLen, fadtPMTimerLen, fadtGPE0Len      = 88, 89, 91, 92
	fadtC2Latency, fadtC3Latency, fadtCentury, fadtFlags           = 96, 98, 108, 112
	fadtResetReg, fadtResetValue, fadtMinor                        = 116, 128, 131
	fadtXDSDT, fadtSleepControl, fadtSleepStatus, fadtHypervisorID = 140, 244, 256, 268
	fadtXPM1aEvt, fadtXPM1aCnt, fadtXPMTimer, fadtXGPE0            = 148, 172, 208, 220
	fadtBootFlags, fadt8042                                        = 109, 2
	fadtSizeV1, fadtSizeV3, fadtSizeV6                             = 116, 244, 276

	acpiEnable, acpiDisable = 0xf1, 0xf0
	noC2, noC3              = 0xfff, 0xfff

	fadtWBINVD, fadtC1, fadtSleepButton = 1 << 0, 1 << 2, 1 << 5
	fadtRTCS4, fadtPlatformClock        = 1 << 7, 1 << 15
	fadtResetSupported, fadtHWReduced   = 1 << 10, 1 << 20
	fadtClusterAPIC, maxClusterless     = 1 << 18, 8
	gasMemory, gasIO                    = 0, 1
	ich9Enable, ich9Disable             = 2, 3
	ich9Reset, ich9ResetValue           = 0xcf9, 0x0f
)

// fadt builds the fixed description table of a PC.
func (m *Machine) fadt(facsAddr, dsdtAddr uint64) []byte {
	if m.PM == nil {
		return m.fadtReduced(dsdtAddr)
	}
	le := binary.LittleEndian
	pm := m.PM
	size := fadtSizeV1
	if pm.ICH9 {
		size = fadtSizeV3
	}
	b := make([]byte, size)
	put32 := func(off int, v uint32) { le.PutUint32(b[off:], v) }
	put32(fadtFACS, uint32(facsAddr))
	put32(fadtDSDT, uint32(dsdtAddr))
	b[fadtModel] = 1
	le.PutUint16(b[fadtSCI:], uint16(pm.SCI))
	put32(fadtSMICmd, uint32(pm.SMICmd))
	if pm.SMICmd != 0 {
		b[fadtACPIEnable], b[fadtACPIDisable] = acpiEnable, acpiDisable
	}
	put32(fadtPM1aEvt, uint32(pm.Base))
	put32(fadtPM1aCnt, uint32(pm.Base)+4)
	put32(fadtPMTimer, uint32(pm.Base)+8)
	put32(fadtGPE0, uint32(pm.GPE))
	b[fadtPM1EvtLen], b[fadtPM1CntLen], b[fadtPMTimerLen], b[fadtGPE0Len] = 4, 2, 4, pm.GPEBytes
	le.PutUint16(b[fadtC2Latency:], noC2)
	le.PutUint16(b[fadtC3Latency:], noC3)
	b[fadtCentury] = pm.CMOSCent
	flags := uint32(fadtWBINVD | fadtC1 | fadtSleepButton | fadtRTCS4 | fadtPlatformClock)
	if len(m.CPUs) > maxClusterless {
		flags |= fadtClusterAPIC
	}
	if !pm.ICH9 {
		put32(fadtFlags, flags)
		return m.table("FACP", 1, b[headerSize:])
	}
	if pm.SMICmd != 0 {
		b[fadtACPIEnable], b[fadtACPIDisable] = ich9Enable, ich9Disable
	}
	if m.has(ISAKeyboard) {
		b[fadtBootFlags] = fadt8042
	}
	put32(fadtFlags, flags|fadtResetSupported)
	gas := func(off int, width uint8, addr uint64) {
		copy(b[off:], []byte{gasIO, width})
		le.PutUint64(b[off+4:], addr)
	}
	gas(fadtResetReg, 8, ich9Reset)
	b[fadtResetValue] = ich9ResetValue
	le.PutUint64(b[fadtXDSDT:], dsdtAddr)
	gas(fadtXPM1aEvt, 32, uint64(pm.Base))
	gas(fadtXPM1aCnt, 16, uint64(pm.Base)+4)
	gas(fadtXPMTimer, 32, uint64(pm.Base)+8)
	gas(fadtXGPE0, 8*pm.GPEBytes, uint64(pm.GPE))
	return m.table("FACP", 3, b[headerSize:])
}

// fadtReduced builds the table of a machine without the legacy power management registers.
func (m *Machine) fadtReduced(dsdtAddr uint64) []byte {
	le := binary.LittleEndian
	b := make([]byte, fadtSizeV6)
	le.PutUint32(b[fadtDSDT:], uint32(dsdtAddr)) // where SeaBIOS looks for it
	le.PutUint64(b[fadtXDSDT:], dsdtAddr)
	le.PutUint32(b[fadtFlags:], fadtHWReduced|fadtResetSupported)
	gas := func(off int, addr uint64) {
		copy(b[off:], []byte{gasMemory, 8})
		le.PutUint64(b[off+4:], addr)
	}
	gas(fadtSleepControl, m.GED.Register)
	gas(fadtSleepStatus, m.GED.Register+1)
	gas(fadtResetReg, m.GED.Register+2)
	b[fadtResetValue] = gedResetValue
	return m.table("FACP", 5, b[headerSize:fadtHypervisorID])
}

// MADT entries (ACPI 5.2.12).
const (
	madtLocalAPIC, madtIOAPIC, madtOverride, madtLocalNMI = 0, 1, 2, 4
	madtX2APIC, madtX2NMI                                 = 9, 10
	madtPCAT                                              = 1 << 0
	localAPICAddr                                         = 0xfee00000
	apicEnabled                                           = 1 << 0
	polarityHigh, triggerLevel                            = 1, 3 << 2
	x2apicFirst                                           = 255 // APIC IDs from here on need x2APIC entries
)

// levelISA are the ISA interrupts that PCI links and the SCI use: active high, level triggered.
var levelISA = [...]byte{5, 9, 10, 11}

func (m *Machine) madt() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, localAPICAddr)
	b = le.AppendUint32(b, madtPCAT)
	x2 := false
	for i, c := range m.CPUs {
		b = append(b, c.interruptController(i, c.Enabled)...)
		x2 = x2 || !c.old()
	}
	for _, io := range m.IOAPICs {
		b = append(b, madtIOAPIC, 12, io.ID, 0)
		b = le.AppendUint32(b, io.Addr)
		b = le.AppendUint32(b, io.Base)
	}
	if m.PM != nil {
		b = m.overrides(b)
	}
	if x2 {
		b = append(b, madtX2NMI, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0)
	} else {
		b = append(b, madtLocalNMI, 6, 0xff, 0, 0, 1)
	}
	return m.table("APIC", 1, b)
}

// overrides says that the timer comes in at pin 2 and which ISA interrupts are level triggered.
func (m *Machine) overrides(b []byte) []byte {
	b = append(b, madtOverride, 10, 0, 0, 2, 0, 0, 0, 0, 0)
	for _, n := range levelISA {
		b = append(b, madtOverride, 10, 0, n, n, 0, 0, 0, polarityHigh|triggerLevel, 0)
	}
	return b
}

const (
	hpetAddr    = 0xfed00000
	hpetBlockID = 0x8086a201
)

func (m *Machine) hpet() []byte {
	b := make([]byte, 20)
	binary.LittleEndian.PutUint32(b, hpetBlockID)
	binary.LittleEndian.PutUint64(b[8:], hpetAddr) // the bytes before are a generic address: system memory
	return m.table("HPET", 1, b)
}

// waetPMTimerGood tells Windows that one read of the PM timer is enough.
const waetPMTimerGood = 1 << 1

func (m *Machine) waet() []byte {
	return m.table("WAET", 1, binary.LittleEndian.AppendUint32(nil, waetPMTimerGood))
}

// mcfg tells where the configuration spaces of all buses are.
func (m *Machine) mcfg() []byte {
	const busSize = 1 << 20
	le := binary.LittleEndian
	b := le.AppendUint64(make([]byte, 8), m.MCFG.Addr)
	b = append(b, 0, 0, 0, byte(m.MCFG.Size/busSize-1), 0, 0, 0, 0)
	return m.table("MCFG", 1, b)
}
