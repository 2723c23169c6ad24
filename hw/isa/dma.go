package isa

import "errors"

// dmaChannels is the number of channels of a PC's two DMA controllers: 0 to 3 move bytes, 4 to 7 words.
const dmaChannels = 8

// DMAHandler is the device at a DMA channel. It is called while the channel is requested and not masked: moved of total bytes have been
// moved. It moves some more and returns how many have been moved then.
type DMAHandler func(moved, total int) int

// DMAChannel is a channel of a DMA controller as a device sees it. Everything is called under the machine lock.
type DMAChannel interface {
	// Connect makes h the device at the channel; nil takes it away.
	Connect(h DMAHandler)
	// Request drives the line with which the device asks for a transfer. The transfer may be done when it returns.
	Request(on bool)
	// FromMemory fills p with what lies at distance moved from the beginning of the channel's memory, ToMemory stores p there.
	FromMemory(p []byte, moved int)
	ToMemory(p []byte, moved int)
}

// SetDMA connects the channels of the DMA controllers, from first on.
func (b *Bus) SetDMA(first int, channels []DMAChannel) { copy(b.dma[first:], channels) }

// DMA returns a channel of the DMA controllers.
func (b *Bus) DMA(n uint32) (DMAChannel, error) {
	if n >= dmaChannels || b.dma[n] == nil {
		return nil, errors.New("ISA controller does not support DMA")
	}
	return b.dma[n], nil
}
