package pth

import "fmt"

// run evaluates one pickle from m.at to its STOP and returns its value.
func (m *machine) run() (any, error) {
	m.stack, m.marks, m.memo, m.frameEnd = m.stack[:0], m.marks[:0], map[uint64]any{}, 0
	start := m.at
	for {
		m.opAt = m.at
		if m.at >= len(m.src) {
			return nil, fmt.Errorf("%s: %w at byte %d, where an opcode belongs; %s", m.where, errCut, m.at, damaged)
		}
		m.op = m.src[m.at]
		m.at++
		if first := m.opAt == start; first != (m.op == opProto) {
			if first {
				return nil, m.fault("a pickle begins with PROTO; %s", damaged)
			}
			return nil, m.fault("is inside a pickle; %s", damaged)
		}
		if m.op == opStop {
			break
		}
		operate := operations[m.op]
		if operate == nil {
			return nil, m.fault("is not allowed, torch.save does not write it for tensors; %s", resave)
		}
		if err := operate(m); err != nil {
			return nil, err
		}
		if len(m.stack) > maxStack {
			return nil, m.fault("more than %d values wait on the stack; %s", maxStack, damaged)
		}
	}
	if len(m.stack) != 1 || len(m.marks) > 0 {
		return nil, m.fault("%d values and %d marks are left in place of one value; %s", len(m.stack), len(m.marks), damaged)
	}
	if m.frameEnd > m.at {
		return nil, m.fault("is inside a frame that ends at byte %d; %s", m.frameEnd, damaged)
	}
	return m.stack[0], nil
}
