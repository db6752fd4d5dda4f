// Package report shows what a training run does: the three curves of the
// d2l plot (terminal, PNG, SVG), a live progress display that falls back to
// plain lines where the output is no terminal, aligned tables, the confusion
// matrix, and the numbers in them in one spelling.
//
// Nothing here computes or keeps training state; the trainer hands over
// numbers, and a report that cannot be written never stops a training.
package report
