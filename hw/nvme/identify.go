package nvme

import "goemu/hw/qdev"

// What identify is asked for (section 5.15).
const (
	cnsNamespace      = 0x00
	cnsController     = 0x01
	cnsActiveList     = 0x02
	cnsDescriptors    = 0x03
	cnsSetNamespace   = 0x05
	cnsSetController  = 0x06
	cnsSetActiveList  = 0x07
	cnsPresentList    = 0x10
	cnsPresent        = 0x11
	cnsControllersOf  = 0x12
	cnsControllers    = 0x13
	cnsPrimary        = 0x14
	cnsSecondary      = 0x15
	cnsSetPresentList = 0x1a
	cnsSetPresent     = 0x1b
	cnsCommandSets    = 0x1c
)

// Command sets.
const csiNVM, csiZoned = 0, 2

// Types of descriptors of a namespace.
const (
	nidEUI64, nidUUID, nidCSI = 1, 3, 4
)

// model and firmware are those of QEMU's controller: drivers have lists of them.
const (
	model    = "QEMU NVMe Ctrl"
	firmware = "7.2.22"
)

func (c *Controller) identify(r *request) status {
	cns, id, csi := uint8(r.dw(10)), r.nsid(), uint8(r.dw(11)>>24)
	find := c.ns
	switch cns {
	case cnsPresent, cnsPresentList, cnsSetPresent, cnsSetPresentList:
		find = c.present
	}
	b := make([]byte, identifyBytes)
	var s status
	switch cns {
	case cnsNamespace, cnsPresent:
		if n := find(id); cns == cnsPresent && n != nil && n.csi() != csiNVM {
			return badCommandSet
		}
		s = identifyNamespace(b, id, find, (*Namespace).identify)
	case cnsController:
		c.identifyController(b)
	case cnsActiveList, cnsPresentList:
		s = listNamespaces(b, id, find)
	case cnsSetActiveList, cnsSetPresentList:
		of := func(id uint32) *Namespace {
			if n := find(id); n != nil && n.csi() == csi {
				return n
			}
			return nil
		}
		if s = listNamespaces(b, id, of); s == success && csi != csiNVM && csi != csiZoned {
			s = invalidField
		}
	case cnsDescriptors:
		s = c.describe(b, id)
	case cnsSetNamespace, cnsSetPresent: // of the NVM command set: no formats with protection
		s = identifyNamespace(b, id, find, func(n *Namespace, b []byte) {
			if csi == csiZoned && n.zones != nil {
				n.identifyZones(b)
			}
		})
		if n := find(id); s == success && n != nil && csi != csiNVM && (csi != csiZoned || n.zones == nil) {
			s = invalidField
		}
	case cnsSetController:
		switch csi {
		case csiNVM:
			b[0] = c.MaxVerify
			le.PutUint32(b[4:], c.maxDiscard)
		case csiZoned:
			b[0] = c.AppendLimit
		default:
			return invalidField
		}
	case cnsCommandSets:
		b[0] = 1<<csiNVM | 1<<csiZoned
	case cnsControllersOf:
		if c.Subsys.ns(id) == nil {
			return invalidField
		}
		c.Subsys.listControllers(b, uint16(r.dw(10)>>16), id)
	case cnsControllers:
		if c.Subsys == nil {
			return invalidField
		}
		c.Subsys.listControllers(b, uint16(r.dw(10)>>16), 0)
	case cnsPrimary:
		c.identifyPrimary(b)
	case cnsSecondary: // controllers of virtual functions, of which there are none
	default:
		return invalidField
	}
	if s != success {
		return s
	}
	return c.reply(r, b)
}

// identifyNamespace fills b in for a namespace; one that is not there is all zeros.
func identifyNamespace(b []byte, id uint32, find func(id uint32) *Namespace, f func(*Namespace, []byte)) status {
	if !validNSID(id) || id == allNamespaces {
		return invalidNSID
	}
	if n := find(id); n != nil {
		f(n, b)
	}
	return success
}

// present finds a namespace of the subsystem, whether the controller has it or not.
func (c *Controller) present(id uint32) *Namespace {
	if n := c.ns(id); n != nil {
		return n
	}
	return c.Subsys.ns(id)
}

// listNamespaces lists those beyond id.
func listNamespaces(b []byte, id uint32, find func(id uint32) *Namespace) status {
	if id >= allNamespaces-1 {
		return invalidNSID
	}
	at := 0
	for i := id + 1; i <= maxNamespaces; i++ {
		if find(i) != nil {
			le.PutUint32(b[at:], i)
			at += 4
		}
	}
	return success
}

// identifyPrimary says which queues and interrupts virtual functions could have (section 5.15.2.8): none.
func (c *Controller) identifyPrimary(b []byte) {
	const queues, interrupts, granularity = 1, 2, 1
	le.PutUint16(b, c.number)
	b[4] = queues | interrupts
	le.PutUint16(b[42:], uint16(c.MaxPairs+1))
	le.PutUint16(b[46:], granularity)
	le.PutUint16(b[74:], c.MSIXSize)
	le.PutUint16(b[78:], granularity)
}

// describe lists the names of a namespace.
func (c *Controller) describe(b []byte, id uint32) status {
	if !validNSID(id) || id == allNamespaces {
		return invalidNSID
	}
	n := c.ns(id)
	if n == nil {
		return invalidField
	}
	at := 0
	add := func(typ uint8, v []byte) {
		b[at], b[at+1] = typ, uint8(len(v))
		at += 4 + copy(b[at+4:], v)
	}
	if n.UUID.UUID != (qdev.UUID{}) {
		add(nidUUID, n.UUID.UUID[:])
	}
	if n.EUI64 != 0 {
		add(nidEUI64, be.AppendUint64(nil, n.EUI64))
	}
	add(nidCSI, []byte{n.csi()})
	return success
}

// Identify controller (section 5.15.2.2).
const (
	idVendor, idSubVendor, idSerial, idModel, idFirmware = 0, 2, 4, 24, 64
	idBurst, idIEEE, idMulti, idMDTS, idNumber           = 72, 73, 76, 77, 78
	idVersion                                            = 80
	idEvents, idAttributes, idType                       = 92, 96, 111
	idOptional, idAborts, idAERL, idFWSlots, idLogs      = 256, 258, 259, 260, 261
	idWarnTemp, idCritTemp, idSQES, idCQES               = 266, 268, 512, 513
	idNamespaces, idIOOptional, idCache, idCopyFormats   = 516, 520, 525, 534
	idSGL, idNQN, idPower                                = 536, 768, 2048

	nqnBytes        = 256
	multiController = 1 << 1

	eventsNamespace    = 1 << 8
	attrManyFormats    = 1 << 15
	optFormat          = 1 << 1
	optManagement      = 1 << 3
	optDoorbells       = 1 << 8
	ioCompare          = 1 << 0
	ioDSM              = 1 << 2
	ioZeroes           = 1 << 3
	ioFeatures         = 1 << 4
	ioTimestamp        = 1 << 6
	ioCopy             = 1 << 8
	logsPerNamespace   = 1 << 0
	logsEffects        = 1 << 1
	logsLong           = 1 << 2
	slotsOneReadOnly   = 1<<1 | 1
	cachePresent       = 1
	cacheAll           = 3 << 1
	typeIO             = 1
	sglNoAlignment     = 1
	burst              = 6
	abortLimit         = 3
	copyFormats        = 3
	powerMilliwatts    = 0x9c4 // in units of 10
	enterMicros        = 0x10
	exitMicros         = 4
	temperature        = 0x143 // kelvin
	warningTemperature = 0x157
	criticalTemp       = 0x175
)

func (c *Controller) identifyController(b []byte) {
	pad := func(at, n int, s string) {
		for i := range n {
			b[at+i] = ' '
		}
		copy(b[at:at+n], s)
	}
	copy(b[idVendor:], c.Config[:2])
	copy(b[idSubVendor:], c.Config[0x2c:0x2e])
	pad(idSerial, 20, c.Serial)
	pad(idModel, 40, model)
	pad(idFirmware, 8, firmware)
	b[idBurst] = burst
	ieee := []byte{0x00, 0x54, 0x52}
	if c.IntelID {
		ieee = []byte{0xb3, 0x02, 0x00}
	}
	copy(b[idIEEE:], ieee)
	if c.Subsys != nil {
		b[idMulti] = multiController
	}
	b[idMDTS] = c.MaxData
	le.PutUint16(b[idNumber:], c.number)
	le.PutUint32(b[idVersion:], version14)
	le.PutUint32(b[idEvents:], eventsNamespace)
	le.PutUint32(b[idAttributes:], attrManyFormats)
	b[idType] = typeIO
	le.PutUint16(b[idOptional:], optFormat|optManagement|optDoorbells)
	b[idAborts], b[idAERL], b[idFWSlots] = abortLimit, c.AERLimit, slotsOneReadOnly
	b[idLogs] = logsPerNamespace | logsEffects | logsLong
	le.PutUint16(b[idWarnTemp:], warningTemperature)
	le.PutUint16(b[idCritTemp:], criticalTemp)
	b[idSQES], b[idCQES] = sqEntryBits<<4|sqEntryBits, cqEntryBits<<4|cqEntryBits
	le.PutUint32(b[idNamespaces:], maxNamespaces)
	le.PutUint16(b[idIOOptional:], ioCompare|ioDSM|ioZeroes|ioFeatures|ioTimestamp|ioCopy)
	b[idCache] = cachePresent | cacheAll
	le.PutUint16(b[idCopyFormats:], copyFormats)
	le.PutUint32(b[idSGL:], sglNoAlignment)
	copy(b[idNQN:idNQN+nqnBytes-1], c.name())
	le.PutUint16(b[idPower:], powerMilliwatts)
	le.PutUint32(b[idPower+4:], enterMicros)
	le.PutUint32(b[idPower+8:], exitMicros)
}
