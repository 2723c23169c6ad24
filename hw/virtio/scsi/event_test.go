package scsi

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"goemu/hw/scsi"
)

// TestEventLUN: Linux compares the number of an event with that of REPORT LUNS, and would leave a device that has gone.
func TestEventLUN(t *testing.T) {
	for lun, want := range map[uint32][8]byte{0: {1, 3, 0, 0}, 1: {1, 3, 0, 1}, 255: {1, 3, 0, 255}, 256: {1, 3, 0x41, 0}, 0x3fff: {1, 3, 0x7f, 0xff}} {
		d := new(scsi.Device)
		d.Target, d.LUN = 3, lun
		assert.Equal(t, want, eventLUN(d), "%d", lun)
	}
}
