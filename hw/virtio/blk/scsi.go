package blk

import (
	"context"
	"errors"

	"goemu/block"
)

// A SCSI command (virtio 0.9.5, appendix D, for legacy drivers only) is a chain of header, command and data to the device, and of data from
// the device, room for sense data, the answer and the status, each in buffers of its own. The answer is le32 errors, data length, sense
// length, residue.
const (
	scsiAnswer  = 16
	scsiLength  = 4
	scsiSense   = 8
	scsiResidue = 12

	scsiRefused        = 255 // as errors: the host has not executed the command
	scsiCheckCondition = 2
	maxSCSICommand     = 32
	maxSCSIData        = 16 << 20
)

// CheckModern implements virtio.ModernChecker: the modern interface has no SCSI commands.
func (m *Model) CheckModern() error {
	if m.Props.SCSI {
		return errors.New("Please set scsi=off for virtio-blk devices in order to use virtio 1.0")
	}
	return nil
}

// scsi lets the host's SCSI device, if the disk is one, execute a command.
func (m *Model) scsi(r *request) (status uint8) {
	n := len(r.in)
	if len(r.out) < 1 || n < 2 || len(r.in[n-1]) < scsiAnswer {
		return statusIOErr
	}
	answer, sense := r.in[n-1], r.in[n-2]
	cdb, out, in := r.out[0], r.out[1:], r.in[:n-2]
	refuse := func() uint8 {
		le.PutUint32(answer, scsiRefused)
		return statusUnsupp
	}
	size := func(iov [][]byte) (total int) {
		for _, b := range iov {
			total += len(b)
		}
		return total
	}
	sent, wanted := size(out), size(in)
	if !m.Props.SCSI || len(out) > 0 && len(in) > 0 || len(cdb) > maxSCSICommand || sent > maxSCSIData || wanted > maxSCSIData {
		return refuse()
	}
	c := &block.SCSIRequest{CDB: append([]byte(nil), cdb...)}
	switch {
	case len(out) > 0:
		c.Out = make([]byte, sent)
		block.IovGather(c.Out, out)
	case len(in) > 0:
		c.In = make([]byte, wanted)
	}
	if m.backend.ExecuteSCSI(context.Background(), c) != nil {
		return refuse()
	}
	block.IovScatter(in, c.In)
	known := copy(sense, c.Sense)
	if c.Status == 0 && known > 0 {
		c.Status = scsiCheckCondition
	}
	le.PutUint32(answer, uint32(c.Status)|uint32(c.Host)<<16|uint32(c.Driver)<<24)
	le.PutUint32(answer[scsiLength:], uint32(sent+wanted))
	le.PutUint32(answer[scsiSense:], uint32(known))
	le.PutUint32(answer[scsiResidue:], uint32(c.Residue))
	return statusOK
}
