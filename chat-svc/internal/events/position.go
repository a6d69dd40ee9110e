package events

import (
	"cmp"
	"encoding/binary"
	"errors"
	"time"
)

// A Position is a place in the feed: the database's cluster time of a change
// (seconds and an ordinal in them) and, as the changes of one transaction may
// share it, a number from 0. Positions mean the same on every replica.
type Position struct {
	Seconds, Ordinal, Index uint32
}

const positionSize = 12

// Compare orders positions as the feed does.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Seconds, q.Seconds), cmp.Compare(p.Ordinal, q.Ordinal), cmp.Compare(p.Index, q.Index))
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool { return p.Compare(q) < 0 }

// IsZero reports whether p is no position.
func (p Position) IsZero() bool { return p == Position{} }

// Time is the database's clock at p, in whole seconds.
func (p Position) Time() time.Time { return time.Unix(int64(p.Seconds), 0).UTC() }

// Bytes gives 12 bytes that compare as positions do.
func (p Position) Bytes() []byte {
	b := make([]byte, 0, positionSize)
	b = binary.BigEndian.AppendUint32(b, p.Seconds)
	b = binary.BigEndian.AppendUint32(b, p.Ordinal)
	return binary.BigEndian.AppendUint32(b, p.Index)
}

// FromBytes reads what Bytes gives.
func FromBytes(b []byte) (Position, error) {
	if len(b) != positionSize {
		return Position{}, errors.New("a feed position has 12 bytes")
	}
	return Position{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}, nil
}
