package folder

import (
	"context"

	"github.com/residual-ml/residual/internal/promptly"
)

// ScanContext is Scan that ends when the context does, however many files there are.
func ScanContext(ctx context.Context, path string) (*Index, error) {
	return promptly.Result(ctx, func() (*Index, error) { return Scan(path) })
}

// ScanAsContext is ScanAs that ends when the context does.
func ScanAsContext(ctx context.Context, path string, classes []string) (*Index, error) {
	return promptly.Result(ctx, func() (*Index, error) { return ScanAs(path, classes) })
}
