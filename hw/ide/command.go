package ide

// Flags of the commands.
const (
	forDisk = 1 << iota
	forCD
	setsSeek // the seek bit is set when the command has ended
	forAll   = forDisk | forCD
)

// command is a row of the command table. run returns true if the command has ended.
type command struct {
	run   func(d *Drive, cmd uint8) bool
	flags uint8
}

// commands are what drives understand, by number.
var commands = [256]command{
	cmdDataSetManagement: {(*Drive).dataSetManagement, forDisk},
	cmdDeviceReset:       {(*Drive).deviceReset, forCD},
	cmdRecalibrate:       {(*Drive).nop, forDisk | setsSeek},
	cmdRead:              {(*Drive).readPIO, forAll},
	cmdReadOnce:          {(*Drive).readPIO, forDisk},
	cmdReadExt:           {(*Drive).readPIO, forDisk},
	cmdReadDMAExt:        {(*Drive).readDMA, forDisk},
	cmdReadNativeMaxExt:  {(*Drive).readNativeMax, forDisk | setsSeek},
	cmdReadMultipleExt:   {(*Drive).readMultiple, forDisk},
	cmdWrite:             {(*Drive).writePIO, forDisk},
	cmdWriteOnce:         {(*Drive).writePIO, forDisk},
	cmdWriteExt:          {(*Drive).writePIO, forDisk},
	cmdWriteDMAExt:       {(*Drive).writeDMA, forDisk},
	cmdWriteMultipleExt:  {(*Drive).writeMultiple, forDisk},
	cmdWriteVerify:       {(*Drive).writePIO, forDisk},
	cmdVerify:            {(*Drive).verify, forDisk | setsSeek},
	cmdVerifyOnce:        {(*Drive).verify, forDisk | setsSeek},
	cmdVerifyExt:         {(*Drive).verify, forDisk | setsSeek},
	cmdSeek:              {(*Drive).nop, forDisk | setsSeek},
	cmdDiagnose:          {(*Drive).diagnoseCommand, forAll},
	cmdSpecify:           {(*Drive).specify, forDisk | setsSeek},
	cmdStandbyNow2:       {(*Drive).nop, forDisk},
	cmdIdleImmediate2:    {(*Drive).nop, forDisk},
	cmdStandby2:          {(*Drive).nop, forDisk},
	cmdSetIdle2:          {(*Drive).nop, forDisk},
	cmdCheckPower2:       {(*Drive).checkPower, forDisk | setsSeek},
	cmdSleep2:            {(*Drive).nop, forDisk},
	CmdPacket:            {(*Drive).packetCommand, forCD},
	cmdIdentifyPacket:    {(*Drive).identifyPacket, forCD},
	cmdSMART:             {(*Drive).smartCommand, forDisk | setsSeek},
	cmdReadMultiple:      {(*Drive).readMultiple, forDisk},
	cmdWriteMultiple:     {(*Drive).writeMultiple, forDisk},
	cmdSetMultiple:       {(*Drive).setMultiple, forDisk | setsSeek},
	cmdReadDMA:           {(*Drive).readDMA, forDisk},
	cmdReadDMAOnce:       {(*Drive).readDMA, forDisk},
	cmdWriteDMA:          {(*Drive).writeDMA, forDisk},
	cmdWriteDMAOnce:      {(*Drive).writeDMA, forDisk},
	cmdStandbyNow:        {(*Drive).nop, forDisk},
	cmdIdleImmediate:     {(*Drive).nop, forDisk},
	cmdStandby:           {(*Drive).nop, forDisk},
	cmdSetIdle:           {(*Drive).nop, forDisk},
	cmdCheckPower:        {(*Drive).checkPower, forDisk | setsSeek},
	cmdSleep:             {(*Drive).nop, forDisk},
	cmdFlush:             {(*Drive).flushCommand, forAll},
	cmdFlushExt:          {(*Drive).flushCommand, forDisk},
	CmdIdentify:          {(*Drive).identifyCommand, forAll},
	cmdSetFeatures:       {(*Drive).setFeatures, forAll | setsSeek},
	cmdSecurityFreeze:    {(*Drive).securityFreeze, forDisk | setsSeek},
	cmdReadNativeMax:     {(*Drive).readNativeMax, forDisk | setsSeek},
}

// Execute starts a command on the selected drive.
func (b *Bus) Execute(cmd uint8) {
	d := b.Active()
	if b.unit != 0 && !d.there() {
		return
	}
	if d.status&(StatusBusy|StatusDRQ) != 0 && (cmd != cmdDeviceReset || d.Kind != CDROM) {
		return
	}
	c := &commands[cmd]
	if c.flags&(1<<d.Kind) == 0 {
		d.abort()
		b.raise()
		return
	}
	d.status, d.err = StatusReady|StatusBusy, 0
	if !c.run(d, cmd) {
		return
	}
	d.status &^= StatusBusy
	if c.flags&setsSeek != 0 && d.err == 0 {
		d.status |= StatusSeek
	}
	b.DMA.Done()
	b.raise()
}

func (d *Drive) nop(uint8) bool { return true }

// refuse aborts the command.
func (d *Drive) refuse() bool {
	d.abort()
	return true
}

func (d *Drive) dataSetManagement(uint8) bool {
	if d.regs.feature != dsmTrim || !d.there() {
		return d.refuse()
	}
	d.startDMA(dmaTrim)
	return false
}

func (d *Drive) deviceReset(uint8) bool {
	d.halt()
	d.cancel()
	d.reset()
	d.status = 0
	return false
}

// reply sends n bytes of the buffer and raises the interrupt.
func (d *Drive) reply(n int) bool {
	d.status = StatusReady | StatusSeek
	d.begin(0, n, endStop)
	d.bus.raise()
	return false
}

func (d *Drive) identifyCommand(uint8) bool {
	if !d.there() || d.Kind == CDROM {
		if d.Kind == CDROM {
			d.setSignature()
		}
		return d.refuse()
	}
	d.identifyDisk()
	return d.reply(SectorSize)
}

func (d *Drive) identifyPacket(uint8) bool {
	d.identifyCD()
	return d.reply(SectorSize)
}

func (d *Drive) verify(cmd uint8) bool {
	d.setCount(cmd == cmdVerifyExt)
	return true
}

func (d *Drive) setMultiple(uint8) bool {
	n := d.regs.count & 0xff
	if n > maxMultiple || n&(n-1) != 0 {
		return d.refuse()
	}
	d.multiple = int32(n)
	return true
}

func (d *Drive) readMultiple(cmd uint8) bool {
	if !d.there() || d.multiple == 0 {
		return d.refuse()
	}
	d.setCount(cmd == cmdReadMultipleExt)
	d.perStep = d.multiple
	d.readSectors()
	return false
}

func (d *Drive) writeMultiple(cmd uint8) bool {
	if !d.there() || d.multiple == 0 {
		return d.refuse()
	}
	d.setCount(cmd == cmdWriteMultipleExt)
	d.perStep = d.multiple
	d.startWrite()
	return false
}

func (d *Drive) readPIO(cmd uint8) bool {
	if d.Kind == CDROM {
		d.setSignature()
		return d.refuse()
	}
	if !d.there() {
		return d.refuse()
	}
	d.setCount(cmd == cmdReadExt)
	d.perStep = 1
	d.readSectors()
	return false
}

func (d *Drive) writePIO(cmd uint8) bool {
	if !d.there() {
		return d.refuse()
	}
	d.setCount(cmd == cmdWriteExt)
	d.perStep = 1
	d.startWrite()
	return false
}

func (d *Drive) readDMA(cmd uint8) bool {
	if !d.there() {
		return d.refuse()
	}
	d.setCount(cmd == cmdReadDMAExt)
	d.startDMA(dmaRead)
	return false
}

func (d *Drive) writeDMA(cmd uint8) bool {
	if !d.there() {
		return d.refuse()
	}
	d.setCount(cmd == cmdWriteDMAExt)
	d.startDMA(dmaWrite)
	d.mediaChanged = true
	return false
}

func (d *Drive) flushCommand(uint8) bool {
	d.flush()
	return false
}

func (d *Drive) readNativeMax(cmd uint8) bool {
	if d.sectorsTotal == 0 {
		return d.refuse()
	}
	d.setCount(cmd == cmdReadNativeMaxExt)
	d.setLBA(int64(d.sectorsTotal) - 1)
	return true
}

func (d *Drive) checkPower(uint8) bool {
	d.regs.count = 0xff // active or idle
	return true
}

// specify is INITIALIZE DEVICE PARAMETERS: the guest's logical geometry.
func (d *Drive) specify(uint8) bool {
	if !d.there() || d.Kind == CDROM {
		return d.refuse()
	}
	d.heads, d.sectors = uint32(d.sel&devHead)+1, d.regs.count&0xff
	d.bus.raise()
	return true
}

func (d *Drive) securityFreeze(uint8) bool {
	d.regs.count = 0
	return true
}

func (d *Drive) diagnoseCommand(uint8) bool {
	d.diagnose()
	return false
}

// diagnose is EXECUTE DEVICE DIAGNOSTIC: the error register says that all is well.
func (d *Drive) diagnose() {
	d.sel = devAlwaysOn
	d.setSignature()
	d.err = 1
	if d.Kind == CDROM {
		d.status = 0
		return
	}
	d.status = StatusReady | StatusSeek
	d.bus.raise()
}

// Features that can be set, and words of the identification that say so.
const (
	featWriteCache, featNoWriteCache = 0x02, 0x82
	featTransferMode                 = 0x03
	featRevert, featNoRevert         = 0xcc, 0x66
)

// featuresWithoutEffect are accepted: look-ahead, power and acoustic management, and some that do nothing.
var featuresWithoutEffect = map[uint8]bool{0xaa: true, 0x55: true, 0x05: true, 0x85: true, 0x69: true, 0x67: true, 0x96: true, 0x9a: true, 0x42: true, 0xc2: true}

func (d *Drive) setFeatures(uint8) bool {
	if !d.there() {
		return d.refuse()
	}
	switch f := d.regs.feature; {
	case f == featWriteCache:
		d.backend.SetWriteCache(true)
		d.word(85, wordCommands|wordWriteCache)
	case f == featNoWriteCache:
		d.backend.SetWriteCache(false)
		d.word(85, wordCommands)
		d.flush()
		return false
	case f == featRevert:
		d.revert = true
	case f == featNoRevert:
		d.revert = false
	case f == featTransferMode:
		return d.setTransferMode()
	case !featuresWithoutEffect[f]:
		return d.refuse()
	}
	return true
}

// setTransferMode notes the mode in the identification: the upper five bits are the class, the lower three the mode.
func (d *Drive) setTransferMode() bool {
	mode := uint16(1) << (d.regs.count&7 + 8)
	single, multi, ultra := uint16(0x07), uint16(0x07), uint16(0x3f)
	switch d.regs.count >> 3 {
	case 0, 1: // PIO
	case 2:
		single |= mode
	case 4:
		multi |= mode
	case 8:
		ultra |= mode
	default:
		return d.refuse()
	}
	d.word(62, single)
	d.word(63, multi)
	d.word(88, ultra)
	return true
}
