package pci

import (
	"encoding/binary"
	"fmt"

	"goemu/internal/mainloop"
	"goemu/internal/memory"
)

// Layout of the MSI capability (PCI Local Bus Specification 3.0, §6.8.1).
const (
	msiFlags   = 2
	msiAddrLo  = 4
	msiAddrHi  = 8
	msiData    = 0x8 // the rest is 4 further on with a 64-bit address
	msiMask    = 0xc
	msiPending = 0x10
	msiHigh    = 4

	msiEnable      = 0x0001
	msiCapable     = 0x000e // shift 1
	msiEnabled     = 0x0070 // shift 4
	msi64          = 0x0080
	msiMaskable    = 0x0100
	msiSize        = 0x0a
	msiSizeMaskBit = 0x14
)

type msiState struct {
	at       int // of the capability, 0 if none
	wide     int // bytes by which 64-bit addresses shift the registers behind
	maskable bool
}

// AddMSI adds an MSI capability with 64-bit addresses for count (a power of two up to 32) vectors.
func (d *Device) AddMSI(at, count int, maskable bool) error {
	return d.addMSI(at, count, msiState{wide: msiHigh, maskable: maskable})
}

// AddMSI32 adds an MSI capability with 32-bit addresses and masks.
func (d *Device) AddMSI32(at, count int) error { return d.addMSI(at, count, msiState{maskable: true}) }

func (d *Device) addMSI(at, count int, m msiState) error {
	if count < 1 || count > 32 || count&(count-1) != 0 {
		panic("BUG: number of MSI vectors")
	}
	log := uint16(0)
	for 1<<log < count {
		log++
	}
	size, flags := msiSize+m.wide, log<<1
	if m.wide != 0 {
		flags |= msi64
	}
	if m.maskable {
		size, flags = msiSizeMaskBit+m.wide, flags|msiMaskable
	}
	at, err := d.AddCapability(CapMSI, at, size)
	if err != nil {
		return err
	}
	m.at = at
	d.msi = m
	d.Set16(at+msiFlags, flags)
	d.SetWritable16(at+msiFlags, msiEnabled|msiEnable)
	d.SetWritable32(at+msiAddrLo, 0xfffffffc)
	if m.wide != 0 {
		d.SetWritable32(at+msiAddrHi, 0xffffffff)
	}
	d.SetWritable16(at+m.wide+msiData, 0xffff)
	if m.maskable {
		d.SetWritable32(at+m.wide+msiMask, 0xffffffff>>(32-count))
	}
	return nil
}

// MSIVectors is the number of vectors that the guest has enabled.
func (d *Device) MSIVectors() int {
	if d.msi.at == 0 {
		return 0
	}
	return 1 << (d.Get16(d.msi.at+msiFlags) & msiEnabled >> 4)
}

// MSIEnabled tells whether the guest has enabled MSI.
func (d *Device) MSIEnabled() bool {
	return d.msi.at != 0 && d.Get16(d.msi.at+msiFlags)&msiEnable != 0
}

// NotifyMSI sends vector n; a masked vector becomes pending.
func (d *Device) NotifyMSI(n int) {
	if !d.MSIEnabled() {
		return
	}
	at, rest := d.msi.at, d.msi.at+d.msi.wide
	if d.msi.maskable {
		if d.Get32(rest+msiMask)>>n&1 != 0 {
			d.Set32(rest+msiPending, d.Get32(rest+msiPending)|1<<n)
			return
		}
	}
	data := uint32(d.Get16(rest + msiData))
	if vectors := uint32(d.MSIVectors()); vectors > 1 {
		data = data&^(vectors-1) | uint32(n)&(vectors-1)
	}
	addr := uint64(d.Get32(at + msiAddrLo))
	if d.msi.wide != 0 {
		addr |= uint64(d.Get32(at+msiAddrHi)) << 32
	}
	d.SendMSI(addr, data)
}

func (d *Device) msiConfigWritten(addr, size int) {
	at := d.msi.at
	if at == 0 || addr >= at+msiSizeMaskBit+d.msi.wide || addr+size <= at || !d.MSIEnabled() {
		return
	}
	for pin := range d.intx {
		d.setINTx(pin, false)
	}
	if capable := d.Get16(at+msiFlags) & msiCapable >> 1; d.Get16(at+msiFlags)&msiEnabled>>4 > capable { // more than offered: all
		d.Set16(at+msiFlags, d.Get16(at+msiFlags)&^msiEnabled|capable<<4)
	}
	if !d.msi.maskable {
		return
	}
	rest := at + d.msi.wide
	due := d.Get32(rest+msiPending) &^ d.Get32(rest+msiMask)
	d.Set32(rest+msiPending, d.Get32(rest+msiPending)&^due)
	for n := range 32 {
		if due>>n&1 != 0 {
			d.NotifyMSI(n)
		}
	}
}

func (d *Device) msiReset() {
	at := d.msi.at
	if at == 0 {
		return
	}
	d.Set16(at+msiFlags, d.Get16(at+msiFlags)&^(msiEnabled|msiEnable))
	d.Set32(at+msiAddrLo, 0)
	if d.msi.wide != 0 {
		d.Set32(at+msiAddrHi, 0)
	}
	rest := at + d.msi.wide
	d.Set16(rest+msiData, 0)
	if d.msi.maskable {
		d.Set32(rest+msiMask, 0)
		d.Set32(rest+msiPending, 0)
	}
}

// SendMSI makes the memory write that is a message-signalled interrupt. It may be called from any goroutine, with or without the
// machine lock: a write to the interrupt controllers is made at once, one to anything else (a guest's mistake) by the main loop.
func (d *Device) SendMSI(addr uint64, data uint32) {
	if d.space == nil {
		return
	}
	r := d.space.View().Find(addr)
	if r == nil {
		return
	}
	if r.RAM != nil || r.Region.Unlocked {
		d.space.Store(addr, 4, uint64(data))
		return
	}
	mainloop.Post(func() { d.space.Store(addr, 4, uint64(data)) })
}

// Layout of the MSI-X capability and of a table entry (PCI Local Bus Specification 3.0, §6.8.2).
const (
	msixFlags    = 2
	msixTable    = 4
	msixPBA      = 8
	msixCapSize  = 12
	msixEnable   = 0x8000
	msixMaskAll  = 0x4000
	msixCtlByte  = 3 // of the capability: the byte with the two bits above
	msixCtlWMask = 0xc0

	msixEntrySize   = 16
	msixEntryData   = 8
	msixEntryCtl    = 12
	msixEntryMasked = 1
	msixMaxEntries  = 2048
)

// MSIXNotifier is implemented by functions that want to hear when vectors are masked or unmasked.
type MSIXNotifier interface {
	MSIXChanged(vector int, masked bool)
}

type msixState struct {
	at      int // of the capability, 0 if none
	entries int
	table   []byte
	pba     []byte
	used    []int
	enabled bool
	maskAll bool
	direct  []*directVector
}

// MSIXLayout says where the table and the pending bits are.
type MSIXLayout struct {
	Entries             int
	TableBAR, PBABAR    int
	TableOff, PBAOffset uint32
	CapAt               int // place of the capability, 0 for any
}

// AddMSIX adds an MSI-X capability and puts table and pending bits into the given containers (the regions behind the BARs).
func (d *Device) AddMSIX(l MSIXLayout, tableBAR, pbaBAR *memory.Region) error {
	if l.Entries < 1 || l.Entries > msixMaxEntries {
		return fmt.Errorf("The number of MSI-X vectors is invalid")
	}
	at, err := d.AddCapability(CapMSIX, l.CapAt, msixCapSize)
	if err != nil {
		return err
	}
	d.Set16(at+msixFlags, uint16(l.Entries-1))
	d.Set32(at+msixTable, l.TableOff|uint32(l.TableBAR))
	d.Set32(at+msixPBA, l.PBAOffset|uint32(l.PBABAR))
	d.Writable[at+msixCtlByte] = msixCtlWMask
	m := &d.msix
	*m = msixState{at: at, entries: l.Entries, table: make([]byte, l.Entries*msixEntrySize),
		pba: make([]byte, (l.Entries+63)/64*8), used: make([]int, l.Entries)}
	d.msixReset()
	table := memory.NewIO("msix-table", uint64(len(m.table)), (*msixTableOps)(d))
	pba := memory.NewIO("msix-pba", uint64(len(m.pba)), (*msixPBAOps)(d))
	for _, r := range []*memory.Region{table, pba} {
		r.Valid = memory.Access{Min: 4, Max: 8}
		r.Impl = memory.Access{Max: 4}
		r.Unlocked = true
	}
	tableBAR.Add(table, uint64(l.TableOff), 0)
	pbaBAR.Add(pba, uint64(l.PBAOffset), 0)
	return nil
}

// AddMSIXBar adds an MSI-X capability with table and pending bits in BAR n of its own, laid out as QEMU does.
func (d *Device) AddMSIXBar(entries, n int, name string) error {
	const half = 2048
	size, pbaAt := uint64(4096), uint64(half)
	if tableSize := uint64(entries * msixEntrySize); tableSize > half {
		pbaAt = tableSize
	}
	if end := pbaAt + uint64((entries+63)/64*8); end > size {
		size = 1
		for size < end {
			size <<= 1
		}
	}
	bar := memory.NewContainer(name, size)
	err := d.AddMSIX(MSIXLayout{Entries: entries, TableBAR: n, PBABAR: n, PBAOffset: uint32(pbaAt)}, bar, bar)
	if err != nil {
		return err
	}
	d.SetBAR(n, BARMem32, bar)
	return nil
}

// MSIXEntries returns the number of vectors, 0 without MSI-X.
func (d *Device) MSIXEntries() int { return d.msix.entries }

// MSIXEnabled tells whether the guest has enabled MSI-X. It may be called from any goroutine.
func (d *Device) MSIXEnabled() bool {
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	return d.msix.enabled
}

// UseVector declares that the device may send vector n; only declared vectors are sent. It returns false for one that does not exist.
func (d *Device) UseVector(n int) bool {
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	if n < 0 || n >= d.msix.entries {
		return false
	}
	d.msix.used[n]++
	return true
}

// UnuseVector takes one UseVector back; with the last one a pending interrupt is dropped.
func (d *Device) UnuseVector(n int) {
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	if m := &d.msix; n >= 0 && n < m.entries && m.used[n] > 0 {
		if m.used[n]--; m.used[n] == 0 {
			m.pba[n/8] &^= 1 << (n % 8)
			d.msixDirect()
		}
	}
}

// NotifyMSIX sends vector n, or marks it pending while it is masked. It may be called from any goroutine, with or without the machine lock.
func (d *Device) NotifyMSIX(n int) {
	d.msixMu.Lock()
	m := &d.msix
	if n < 0 || n >= m.entries || !m.enabled || m.used[n] == 0 {
		d.msixMu.Unlock()
		return
	}
	if m.masked(n) {
		m.pba[n/8] |= 1 << (n % 8)
		d.msixMu.Unlock()
		return
	}
	addr, data := m.message(n)
	d.msixMu.Unlock()
	d.SendMSI(addr, data)
}

// ClearVector takes back vector n if it is pending.
func (d *Device) ClearVector(n int) {
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	if m := &d.msix; n >= 0 && n < m.entries {
		m.pba[n/8] &^= 1 << (n % 8)
	}
}

func (m *msixState) masked(n int) bool {
	return m.maskAll || m.table[n*msixEntrySize+msixEntryCtl]&msixEntryMasked != 0
}

func (m *msixState) message(n int) (addr uint64, data uint32) {
	e := m.table[n*msixEntrySize:]
	return binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint32(e[msixEntryData:])
}

// msixFlush sends what is pending and no longer masked, and reports changes of masks.
func (d *Device) msixFlush(was []bool) {
	d.msixMu.Lock()
	m := &d.msix
	d.msixDirect()
	type message struct {
		addr uint64
		data uint32
	}
	var due []message
	var changed []int
	for n := range m.entries {
		masked := m.masked(n) || !m.enabled
		if was != nil && was[n] != masked {
			changed = append(changed, n)
		}
		if !masked && m.pba[n/8]>>(n%8)&1 != 0 {
			m.pba[n/8] &^= 1 << (n % 8)
			addr, data := m.message(n)
			due = append(due, message{addr, data})
		}
	}
	d.msixMu.Unlock()
	if f, ok := d.fn.(MSIXNotifier); ok {
		for _, n := range changed {
			f.MSIXChanged(n, !was[n])
		}
	}
	for _, x := range due {
		d.SendMSI(x.addr, x.data)
	}
}

// msixMasks returns which vectors are masked now. Preconditions: msixMu is held.
func (d *Device) msixMasks() []bool {
	m := &d.msix
	was := make([]bool, m.entries)
	for n := range was {
		was[n] = m.masked(n) || !m.enabled
	}
	return was
}

func (d *Device) msixConfigWritten(addr, size int) {
	at := d.msix.at
	if at == 0 || addr > at+msixCtlByte || addr+size <= at+msixCtlByte {
		return
	}
	d.msixMu.Lock()
	was := d.msixMasks()
	flags := d.Get16(at + msixFlags)
	d.msix.enabled, d.msix.maskAll = flags&msixEnable != 0, flags&msixMaskAll != 0
	enabled := d.msix.enabled
	d.msixMu.Unlock()
	if enabled {
		for pin := range d.intx {
			d.setINTx(pin, false)
		}
	}
	d.msixFlush(was)
}

func (d *Device) msixReset() {
	m := &d.msix
	if m.at == 0 {
		return
	}
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	d.Config[m.at+msixCtlByte] &^= d.Writable[m.at+msixCtlByte]
	m.enabled, m.maskAll = false, false
	clear(m.table)
	clear(m.pba)
	for n := range m.entries {
		m.table[n*msixEntrySize+msixEntryCtl] = msixEntryMasked
	}
	d.msixDirect()
}

type msixTableOps Device

// Read implements memory.Ops.
func (o *msixTableOps) Read(off uint64, size int) uint64 {
	d := (*Device)(o)
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	if off+4 > uint64(len(d.msix.table)) {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(d.msix.table[off:]))
}

// Write implements memory.Ops.
func (o *msixTableOps) Write(off uint64, size int, v uint64) {
	d := (*Device)(o)
	d.msixMu.Lock()
	if off+4 > uint64(len(d.msix.table)) {
		d.msixMu.Unlock()
		return
	}
	was := d.msixMasks()
	binary.LittleEndian.PutUint32(d.msix.table[off:], uint32(v))
	d.msixMu.Unlock()
	d.msixFlush(was)
}

type msixPBAOps Device

// Read implements memory.Ops.
func (o *msixPBAOps) Read(off uint64, size int) uint64 {
	d := (*Device)(o)
	d.msixMu.Lock()
	defer d.msixMu.Unlock()
	if off+4 > uint64(len(d.msix.pba)) {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(d.msix.pba[off:]))
}

// Write implements memory.Ops: the pending bits are read-only.
func (o *msixPBAOps) Write(uint64, int, uint64) {}
