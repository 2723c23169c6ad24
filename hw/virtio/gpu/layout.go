package gpu

import "goemu/ui"

// Commands of the control and the cursor queue (virtio 1.2, section 5.7.6.7).
const (
	cmdGetDisplayInfo  = 0x0100
	cmdCreate2D        = 0x0101
	cmdUnref           = 0x0102
	cmdSetScanout      = 0x0103
	cmdFlush           = 0x0104
	cmdTransferToHost  = 0x0105
	cmdAttachBacking   = 0x0106
	cmdDetachBacking   = 0x0107
	cmdGetEDID         = 0x010a
	cmdCreateBlob      = 0x010c
	cmdScanoutBlob     = 0x010d
	cmdUpdateCursor    = 0x0300
	cmdMoveCursor      = 0x0301
	respNoData         = 0x1100
	respDisplayInfo    = 0x1101
	respEDID           = 0x1104
	errUnspecified     = 0x1200
	errOutOfMemory     = 0x1201
	errInvalidScanout  = 0x1202
	errInvalidResource = 0x1203
	errInvalidParam    = 0x1205
)

// The header of commands and answers: le32 type, le32 flags, le64 fence, le32 context, 4 bytes that are not used.
const (
	hdrFlags   = 4
	hdrFence   = 8
	hdrContext = 16
	hdrSize    = 24
	flagFence  = 1
)

// What follows the header; a rectangle is le32 x, y, width and height.
const (
	createID, createFormat, createWidth, createHeight = 24, 28, 32, 36
	createSize                                        = 40

	unrefID, unrefSize = 24, 32

	scanoutRect, scanoutNumber, scanoutResource = 24, 40, 44
	scanoutSize                                 = 48

	flushRect, flushID, flushSize = 24, 40, 48

	transferRect, transferOffset, transferID = 24, 40, 48
	transferSize                             = 56

	attachID, attachEntries = 24, 28
	attachSize              = 32
	entryLength             = 8 // after the address
	entrySize               = 16

	detachID, detachSize = 24, 32

	edidScanout, edidCommand = 24, 32

	cursorScanout, cursorX, cursorY = 24, 28, 32
	cursorResource                  = 40
	cursorHotX, cursorHotY          = 44, 48
	cursorSize                      = 56
)

// Answers with data: an entry of a display is a rectangle, le32 enabled, le32 flags; an EDID is le32 size and 4 bytes that are not used
// before the data.
const (
	displayEntry   = 24
	displayEnabled = 16
	displaySize    = hdrSize + maxScanouts*displayEntry

	edidLength = 24
	edidData   = 32
	edidBytes  = 1024
	edidSize   = edidData + edidBytes
)

// Configuration space (section 5.7.4): le32 events, events to clear, number of scanouts, number of capability sets.
const (
	configEvents   = 0
	configClear    = 4
	configScanouts = 8
	configSize     = 16

	eventDisplay = 1
)

// Limits. A picture on a screen has at least minSide lines and columns; a backing has as many pieces as Linux's driver asks for at most.
const (
	maxScanouts   = 16
	minSide       = 16
	maxEntries    = 16384
	cursorSide    = 64
	bytesPerPixel = 4
	featureEDID   = 1
)

// formats are those of the specification, which names the bytes of a pixel in their order in memory.
var formats = map[uint32]*ui.Format{
	1:   &ui.XRGB8888, // B8G8R8A8
	2:   &ui.XRGB8888, // B8G8R8X8
	3:   &ui.BGRX8888, // A8R8G8B8
	4:   &ui.BGRX8888, // X8R8G8B8
	67:  &ui.XBGR8888, // R8G8B8A8
	68:  &ui.RGBX8888, // X8B8G8R8
	121: &ui.RGBX8888, // A8B8G8R8
	134: &ui.XBGR8888, // R8G8B8X8
}
