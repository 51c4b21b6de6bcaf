package dev.edgepro.runtime

import org.bytedeco.javacpp.BytePointer
import org.bytedeco.javacpp.Pointer
import org.bytedeco.tensorflowlite.BuiltinOpResolver
import org.bytedeco.tensorflowlite.FlatBufferModel
import org.bytedeco.tensorflowlite.Interpreter
import org.bytedeco.tensorflowlite.InterpreterBuilder
import org.bytedeco.tensorflowlite.TfLiteDelegate
import java.nio.ByteBuffer

/**
 * A real TFLite interpreter on the desktop JVM, over the C++ API (the Java API's own
 * library exists for Android alone). The buffer is not copied.
 */
class DesktopInterpreter(
    model: ByteBuffer,
    delegates: List<EdgeProDelegate> = emptyList(),
) : AutoCloseable {
    private val resolver = BuiltinOpResolver()
    private val bytes = BytePointer(model)
    private val file = FlatBufferModel.BuildFromBuffer(bytes, model.remaining().toLong())
    private val interpreter = Interpreter(null as Pointer?)

    init {
        InterpreterBuilder(file, resolver).use { builder ->
            for (delegate in delegates) {
                builder.AddDelegate(
                    TfLiteDelegate(AtAddress(delegate.nativeHandle)),
                )
            }
            val status = builder.apply(interpreter)
            if (status != OK) throw IllegalArgumentException("interpreter: status $status")
        }
        check(interpreter.AllocateTensors() == OK)
    }

    /** Runs one sample at a time. */
    fun run(
        x: FloatArray,
        count: Int,
    ): FloatArray {
        val size = x.size / count
        val scores = ArrayList<Float>()
        for (sample in 0 until count) {
            interpreter.typed_input_tensor_float(0).put(x, sample * size, size)
            check(interpreter.Invoke() == OK)
            val classes = (interpreter.output_tensor(0).bytes() / Float.SIZE_BYTES).toInt()
            scores +=
                FloatArray(
                    classes,
                ).also { interpreter.typed_output_tensor_float(0).get(it) }.toList()
        }
        return scores.toFloatArray()
    }

    override fun close() {
        interpreter.close()
        file.close()
        bytes.close()
        resolver.close()
    }

    private class AtAddress(
        address: Long,
    ) : Pointer() {
        init {
            this.address = address
        }
    }

    private companion object {
        const val OK = 0
    }
}
