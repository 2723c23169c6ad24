package e1000e

import "goemu/hw/nic"

// writeRCTL switches the receiver and takes over how its descriptors look (section 10.2.5.1).
func (d *Device) writeRCTL(v uint32) {
	d.mac[regRCTL] = v
	if v&rctlEN == 0 {
		return
	}
	d.rxSizes = bufferSizes(v, d.mac[regPSRCTL])
	d.rxSize = 0
	for _, n := range d.rxSizes {
		d.rxSize += n
	}
	d.rxDesc = unit
	if d.splitAsked() {
		d.rxDesc = maxDesc
	}
	d.rxShift = v>>rctlRDMTS&3 + 1 + 4
	d.wire.Room()
}

// bufferSizes are the sizes of a descriptor's buffers.
func bufferSizes(rctl, split uint32) (n [psBuffers]uint32) {
	flex, code := rctl>>rctlFlex&0xf, rctl>>rctlSZ&3
	switch {
	case rctl&rctlType != 0:
		n = [psBuffers]uint32{split & 0x7f * 128, split >> 8 & 0x3f << 10, split >> 16 & 0x3f << 10, split >> 24 & 0x3f << 10}
	case flex != 0:
		n[0] = flex << 10
	case rctl&rctlBSEX != 0 && code != 0:
		n[0] = 32768 >> code
	default:
		n[0] = 2048 >> code
		if rctl&rctlBSEX != 0 {
			n[0] = 2048
		}
	}
	return n
}

// extended tells whether descriptors have the newer form, and split whether they have several buffers: the driver has asked for that, and had
// done so when it switched the receiver on, which decides upon their size.
func (d *Device) extended() bool   { return d.mac[regRFCTL]&rfctlExtended != 0 }
func (d *Device) splitAsked() bool { return d.extended() && d.mac[regRCTL]&rctlPS != 0 }
func (d *Device) split() bool      { return d.splitAsked() && d.rxDesc == maxDesc }

// free is how many units the driver has put into the ring of a queue.
func (d *Device) free(q int) uint32 {
	at := q * queueStep
	head, tail := d.mac[regRDH+at], d.mac[regRDT+at]
	if head <= tail {
		return tail - head
	}
	return d.mac[regRDLEN+at]/unit + tail - head
}

// hasBuffers tells whether the ring of a queue has room for n bytes.
func (d *Device) hasBuffers(q, n int) bool {
	if d.mac[regRDLEN+q*queueStep] == 0 || d.rxDesc == 0 {
		return false
	}
	return uint64(n) <= uint64(d.free(q)/(uint32(d.rxDesc)/unit))*uint64(d.rxSize)
}

// TakeFrame implements nic.Receiver.
func (d *Device) TakeFrame(data []byte) bool {
	rctl := d.mac[regRCTL]
	switch {
	case d.mac[regSTATUS]&statusLU == 0 || rctl&rctlEN == 0 || !d.Mastering():
		return false // as long as the receiver is off
	case !d.hasBuffers(0, 1) && !d.hasBuffers(1, 1):
		return false
	}
	if len(data) < minFrame {
		clear(d.frame[copy(d.frame[:], data):])
		data = d.frame[:]
		d.count(regRUC)
	}
	if (len(data) > maxLong || len(data) > maxFrame && rctl&rctlLPE == 0) && rctl&rctlSBP == 0 {
		d.count(regROC)
		return true
	}
	if !d.wants(data) {
		return true
	}
	var r reception
	if d.mac[regCTRL]&ctrlVLAN != 0 && d.isVLAN(data) {
		r.tag, r.tagged = be.Uint16(data[14:]), true
		data = append(append(make([]byte, 0, len(data)), data[:12]...), data[16:]...)
	}
	r.data, r.Headers = data, nic.ParseHeaders(data)
	d.spread(&r)
	total := len(data)
	if rctl&rctlSECRC == 0 {
		total += checksumLen
	}
	if !d.hasBuffers(r.queue, total) {
		if d.looping {
			return false
		}
		d.tell(irqRXO)
		return false
	}
	d.store(&r, total)
	d.counted(data, total)
	causes := uint32(0)
	if uint32(total) < d.mac[regRSRPD] {
		causes |= irqSRPD
	}
	if d.mac[regRFCTL]&rfctlNoACK == 0 && r.Ack(data, d.mac[regRFCTL]&rfctlACKData == 0) {
		causes |= irqACK
	}
	switch {
	case d.MSIXEnabled() && r.queue == 0:
		causes |= irqRXQ0
	case d.MSIXEnabled():
		causes |= irqRXQ1
	default:
		causes |= irqRXT0
		if d.free(r.queue) == d.mac[regRDLEN+r.queue*queueStep]>>d.rxShift {
			causes |= irqRXDMT0
		}
	}
	d.tell(causes)
	return true
}

// tell raises causes of the receiver, or puts them off.
func (d *Device) tell(causes uint32) {
	if now, put := d.delayRX(causes); !put {
		d.raise(now)
	}
}

// counted counts a frame that was stored.
func (d *Device) counted(data []byte, total int) {
	nic.CountSize(d.mac[regPRC64:], total)
	d.count(regTPR)
	d.count(regGPRC)
	d.countBytes(regTORL, len(data)+checksumLen)
	d.countBytes(regGORCL, len(data)+checksumLen)
	switch {
	case nic.IsBroadcast(data):
		d.count(regBPRC)
	case data[0]&1 != 0:
		d.count(regMPRC)
	}
}

func (d *Device) isVLAN(b []byte) bool { return be.Uint16(b[12:]) == uint16(d.mac[regVET]) }

// wants tells whether the filters let a frame pass (section 7.1.1).
func (d *Device) wants(b []byte) bool {
	rctl := d.mac[regRCTL]
	if rctl&rctlVFE != 0 && d.isVLAN(b) {
		vid := be.Uint16(b[14:])
		if d.mac[regVFTA+int(vid>>5&0x7f)]>>(vid&31)&1 == 0 {
			return false
		}
	}
	switch all := nic.IsBroadcast(b); {
	case all && rctl&rctlBAM != 0, !all && b[0]&1 != 0 && rctl&rctlMPE != 0, b[0]&1 == 0 && rctl&rctlUPE != 0:
		return true
	}
	low, high := le.Uint32(b), uint32(le.Uint16(b[4:]))
	for i := regRA; i < regRA+32; i += 2 {
		if d.mac[i+1]&addrValid != 0 && d.mac[i] == low && d.mac[i+1]&0xffff == high {
			return true
		}
	}
	hash := high >> [4]uint{4, 3, 2, 0}[rctl>>rctlMO&3] & 0xfff
	if d.mac[regMTA+int(hash>>5)]>>(hash&31)&1 == 0 {
		return false
	}
	d.count(regMPRC)
	return true
}

// reception is a frame on its way to the driver.
type reception struct {
	nic.Headers
	data    []byte
	tag     uint16
	tagged  bool
	queue   int
	hashed  bool   // there is a hash, which may be none
	hash    uint32 // by which the queue was chosen
	hashOf  uint32 // what was hashed, in the numbers of the descriptor
	written [psBuffers]uint16
}

// What is hashed.
const (
	hashTCP4, hashIP4, hashTCP6, hashIP6Ex, hashIP6 = 1, 2, 3, 4, 5
)

// spread chooses the queue of a frame (section 7.1.2.8).
func (d *Device) spread(r *reception) {
	mrqc, rfctl := d.mac[regMRQC], d.mac[regRFCTL]
	if mrqc&mrqcEnable != 1 || d.mac[regRXCSUM]&rxcsumPCSD == 0 || !d.extended() {
		return
	}
	r.hashed = true
	switch {
	case r.IP4 && r.TCP && mrqc&mrqcTCP4 != 0:
		r.hashOf = hashTCP4
	case r.IP4 && mrqc&mrqcIP4 != 0:
		r.hashOf = hashIP4
	case !r.IP6:
		return
	case (rfctl&rfctlNoIPv6Ex == 0 || !r.Extended) && r.TCP && mrqc&mrqcTCP6 != 0:
		r.hashOf = hashTCP6
	case (rfctl&rfctlNoIPv6Ex == 0 || !r.Extended) && mrqc&mrqcIP6Ex != 0:
		r.hashOf = hashIP6Ex
	case mrqc&mrqcIP6 != 0:
		r.hashOf = hashIP6
	default:
		return
	}
	var key [nic.KeySize]byte
	for i := range len(key) / 4 {
		le.PutUint32(key[4*i:], d.mac[regRSSRK+i])
	}
	r.hash = r.Hash(r.data, &key, r.hashOf == hashTCP4 || r.hashOf == hashTCP6, r.hashOf == hashTCP6 || r.hashOf == hashIP6Ex)
	entry := r.hash & 0x7f
	r.queue = int(d.mac[regRETA+int(entry/4)] >> (8 * (entry % 4)) >> 7 & 1)
}

// headerLength is how much of a frame goes to the first of several buffers, 0 for a frame that is not split (section 7.1.5).
func (d *Device) headerLength(r *reception) int {
	if !d.split() || !r.IP4 && !r.IP6 || r.Fragment && d.mac[regRFCTL]&rfctlNoFragSplit != 0 {
		return 0
	}
	if n := r.L5; n <= int(d.rxSizes[0]) && n <= len(r.data) {
		return n
	}
	return 0
}

// store writes a frame of total bytes, of which there may be less, to the driver's buffers.
func (d *Device) store(r *reception, total int) {
	at := r.queue * queueStep
	size := d.mac[regRDLEN+at] / unit
	base := uint64(d.mac[regRDBAL+1+at])<<32 + uint64(d.mac[regRDBAL+at])
	head := &d.mac[regRDH+at]
	split := d.headerLength(r)
	for pos, n := 0, uint32(0); pos < total; n++ {
		if *head == d.mac[regRDT+at] || d.mac[regRDT+at] >= size || n > size {
			return
		}
		var desc [maxDesc]byte
		b := desc[:d.rxDesc]
		addr := base + unit*uint64(*head)
		d.DMA().Read(addr, b)
		r.written = [psBuffers]uint16{}
		last := false
		if le.Uint64(b) != 0 { // others are skipped
			pos = d.fill(r, b, pos, total, split)
			last = pos >= total
		}
		status := d.describe(r, b, last, split)
		d.DMA().Write(addr, b)
		b[status] |= rxDone
		d.DMA().Write(addr+uint64(status), b[status:status+1])
		if *head += uint32(d.rxDesc) / unit; *head >= size {
			*head = 0
		}
	}
}

// fill writes a frame from pos on to a descriptor's buffers and returns how far it came. The header goes to the first one alone.
func (d *Device) fill(r *reception, desc []byte, pos, total, header int) int {
	for i := range psBuffers {
		if i > 0 && !d.split() {
			break
		}
		room := int(d.rxSizes[i])
		if i == 0 && header > 0 {
			room = 0
			if pos == 0 {
				room = header
			}
		}
		n := min(room, total-pos)
		addr := le.Uint64(desc[8*i:])
		if pos < len(r.data) {
			d.DMA().Write(addr, r.data[pos:min(pos+n, len(r.data))])
		}
		if over := pos + n - max(len(r.data), pos); over > 0 { // the checksum of the frame, which is not there
			d.DMA().Write(addr+uint64(n-over), make([]byte, over))
		}
		r.written[i] = uint16(n)
		pos += n
	}
	return pos
}

// describe writes back a descriptor without its flag of being done, and returns where that goes.
func (d *Device) describe(r *reception, b []byte, last bool, header int) (status int) {
	flags, rss, mrq, ipID, tag := uint32(0), uint32(0), uint32(0), uint16(0), uint16(0)
	if last {
		flags = d.flags(r)
		if r.tagged {
			tag = r.tag
		}
		switch {
		case d.mac[regRXCSUM]&rxcsumPCSD == 0 && r.IP4:
			ipID = be.Uint16(r.data[r.L3+4:])
		case r.hashed:
			rss, mrq = r.hash, r.hashOf|uint32(r.queue)<<8
		}
	}
	if !d.extended() {
		le.PutUint16(b[8:], r.written[0])
		le.PutUint16(b[10:], 0)
		b[12], b[13] = uint8(flags), uint8(flags>>24)
		if r.tagged && last {
			le.PutUint16(b[14:], tag)
		}
		return 12
	}
	clear(b)
	le.PutUint32(b, mrq)
	le.PutUint32(b[4:], rss)
	if d.mac[regRXCSUM]&rxcsumPCSD == 0 {
		le.PutUint16(b[4:], ipID)
	}
	le.PutUint32(b[8:], flags)
	le.PutUint16(b[12:], r.written[0])
	le.PutUint16(b[14:], tag)
	if d.split() {
		for i, n := range r.written[1:] {
			le.PutUint16(b[18+2*i:], n)
		}
		if header > 0 {
			le.PutUint16(b[16:], uint16(header)|rxSplit)
		}
	}
	return 8
}

// flags are what the last descriptor of a frame says about it (section 7.1.4).
func (d *Device) flags(r *reception) uint32 {
	v, rfctl, rxcsum := uint32(rxEOP), d.mac[regRFCTL], d.mac[regRXCSUM]
	if r.tagged {
		v |= rxVLAN
	}
	if rxcsum&rxcsumPCSD == 0 && r.IP4 {
		v |= rxIPID
	}
	if r.Ack(r.data, rfctl&rfctlACKData == 0) {
		v |= rxACK
	}
	const ip4, l4over4, ip6, l4over6 = 1, 2, 5, 6
	kind := uint32(0)
	switch l4 := r.TCP || r.UDP; {
	case r.IP6 && rfctl&rfctlNoIPv6 != 0:
	case r.IP4 && l4:
		kind = l4over4
	case r.IP4:
		kind = ip4
	case r.IP6 && l4:
		kind = l4over6
	case r.IP6:
		kind = ip6
	}
	v |= kind << rxPacketType
	if r.IP6 && rfctl&rfctlNoIPv6Sum != 0 {
		return v
	}
	if rxcsum&rxcsumIP != 0 && r.IP4 {
		v |= rxIPSum
		if !r.IPSumGood(r.data) {
			v |= rxIPBad
		}
	}
	if rxcsum&rxcsumL4 != 0 && (r.TCP || r.UDP) {
		v |= rxL4Sum
		if r.UDP {
			v |= rxUDPSum
		}
		if !r.L4SumGood(r.data) {
			v |= rxL4Bad
		}
	}
	return v
}
