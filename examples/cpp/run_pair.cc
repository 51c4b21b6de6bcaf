// Runs a pair with TFLite's C API and TFLite's own external-delegate loader.
//
//   run_pair LIBRARY MODEL PAYLOAD < INPUT > OUTPUT
//
// LIBRARY is libedgepro.so, MODEL the public .tflite, PAYLOAD the lock as its sidecar
// holds it, decrypted by the host (examples/write_payload.py stands in for it). INPUT
// is the raw bytes of any number of samples for the model's input, OUTPUT those of its
// output. The public model is mapped from its file; only what the lock touches is
// copied.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "edgepro.h"
#include "tensorflow/lite/c/c_api.h"
#include "tensorflow/lite/delegates/external/external_delegate.h"

namespace {

using Model = std::unique_ptr<TfLiteModel, decltype(&TfLiteModelDelete)>;
using Options = std::unique_ptr<TfLiteInterpreterOptions,
                                decltype(&TfLiteInterpreterOptionsDelete)>;
using Interpreter =
    std::unique_ptr<TfLiteInterpreter, decltype(&TfLiteInterpreterDelete)>;
using Delegate =
    std::unique_ptr<TfLiteDelegate, decltype(&TfLiteExternalDelegateDelete)>;

[[noreturn]] void Fail(const std::string& sentence) {
  std::fprintf(stderr, "%s\n", sentence.c_str());
  std::exit(1);
}

// Leaves the lock with the core, in the very library that the loader will open: its
// handles are that library's. The handle serves one delegate, once.
std::uint64_t HandOver(const char* library_path, const char* payload_path) {
  std::ifstream file(payload_path, std::ios::binary);
  if (!file) Fail(std::string("cannot read ") + payload_path);
  std::vector<char> payload((std::istreambuf_iterator<char>(file)), {});
  void* library = dlopen(library_path, RTLD_NOW);
  if (library == nullptr) Fail(dlerror());
  const auto hand_over = reinterpret_cast<decltype(&edgepro_hand_over)>(
      dlsym(library, "edgepro_hand_over"));
  const auto wipe =
      reinterpret_cast<decltype(&edgepro_wipe)>(dlsym(library, "edgepro_wipe"));
  if (hand_over == nullptr || wipe == nullptr) Fail("this library is not libedgepro");
  char error[256] = "";
  const std::uint64_t handle =
      hand_over(payload.data(), payload.size(), error, sizeof error);
  wipe(payload.data(), payload.size());
  if (handle == 0) Fail(error);
  return handle;
}

Delegate MakeDelegate(const char* library_path, std::uint64_t handle) {
  const std::string text = std::to_string(handle);
  TfLiteExternalDelegateOptions options =
      TfLiteExternalDelegateOptionsDefault(library_path);
  options.insert(&options, "handle", text.c_str());
  return {TfLiteExternalDelegateCreate(&options), &TfLiteExternalDelegateDelete};
}

// Copies samples from standard input to standard output through the model.
void Run(TfLiteInterpreter* interpreter) {
  TfLiteTensor* input = TfLiteInterpreterGetInputTensor(interpreter, 0);
  const TfLiteTensor* output = TfLiteInterpreterGetOutputTensor(interpreter, 0);
  std::vector<char> sample(TfLiteTensorByteSize(input));
  std::vector<char> result(TfLiteTensorByteSize(output));
  while (std::fread(sample.data(), sample.size(), 1, stdin) == 1) {
    if (TfLiteTensorCopyFromBuffer(input, sample.data(), sample.size()) != kTfLiteOk ||
        TfLiteInterpreterInvoke(interpreter) != kTfLiteOk ||
        TfLiteTensorCopyToBuffer(output, result.data(), result.size()) != kTfLiteOk) {
      Fail("cannot run the model");
    }
    std::fwrite(result.data(), result.size(), 1, stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s LIBRARY MODEL PAYLOAD < INPUT > OUTPUT\n", argv[0]);
    return 2;
  }
  const Model model(TfLiteModelCreateFromFile(argv[2]), &TfLiteModelDelete);
  if (model == nullptr) Fail(std::string("cannot open ") + argv[2]);
  // The delegate must outlive the interpreter, so it is declared before it.
  const Delegate delegate = MakeDelegate(argv[1], HandOver(argv[1], argv[3]));
  if (delegate == nullptr) Fail("cannot create the delegate");
  const Options options(TfLiteInterpreterOptionsCreate(),
                        &TfLiteInterpreterOptionsDelete);
  // First of all delegates: it must see the constants before another packs them.
  TfLiteInterpreterOptionsAddDelegate(options.get(), delegate.get());
  const Interpreter interpreter(TfLiteInterpreterCreate(model.get(), options.get()),
                                &TfLiteInterpreterDelete);
  if (interpreter == nullptr ||
      TfLiteInterpreterAllocateTensors(interpreter.get()) != kTfLiteOk) {
    Fail("cannot restore or prepare the model");  // TFLite has printed the reason.
  }
  Run(interpreter.get());
  return 0;
}
