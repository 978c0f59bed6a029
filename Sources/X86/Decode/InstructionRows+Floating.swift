// SPDX-License-Identifier: Apache-2.0
//
// The rows of the x87, MMX and SSE units, in the grammar of `InstructionRows`. An encoding that is
// not here is not an instruction. Source: Intel SDM volume 2, appendix A, tables.
//
// The operation tells how an instruction is carried out (see `FloatingUnit.swift`); which one it is
// follows from opcode and prefix, so that hundreds of them need no name of their own here.

extension InstructionRows {
    static let floating = """
        # x87, memory forms: D8–DF by ModRM.reg
        D8/0m x87Memory Md
        D8/1m x87Memory Md
        D8/2m x87Memory Md
        D8/3m x87Memory Md
        D8/4m x87Memory Md
        D8/5m x87Memory Md
        D8/6m x87Memory Md
        D8/7m x87Memory Md
        DA/0m x87Memory Md
        DA/1m x87Memory Md
        DA/2m x87Memory Md
        DA/3m x87Memory Md
        DA/4m x87Memory Md
        DA/5m x87Memory Md
        DA/6m x87Memory Md
        DA/7m x87Memory Md
        DC/0m x87Memory Mq
        DC/1m x87Memory Mq
        DC/2m x87Memory Mq
        DC/3m x87Memory Mq
        DC/4m x87Memory Mq
        DC/5m x87Memory Mq
        DC/6m x87Memory Mq
        DC/7m x87Memory Mq
        DE/0m x87Memory Mw
        DE/1m x87Memory Mw
        DE/2m x87Memory Mw
        DE/3m x87Memory Mw
        DE/4m x87Memory Mw
        DE/5m x87Memory Mw
        DE/6m x87Memory Mw
        DE/7m x87Memory Mw
        D9/0m x87Memory Md
        D9/2m x87Memory Md
        D9/3m x87Memory Md
        D9/4m x87Memory M
        D9/5m x87Memory Mw
        D9/6m x87Memory M
        D9/7m x87Memory Mw
        DB/0m x87Memory Md
        DB/1m x87Memory Md
        DB/2m x87Memory Md
        DB/3m x87Memory Md
        DB/5m x87Memory Mt
        DB/7m x87Memory Mt
        DD/0m x87Memory Mq
        DD/1m x87Memory Mq
        DD/2m x87Memory Mq
        DD/3m x87Memory Mq
        DD/4m x87Memory M
        DD/6m x87Memory M
        DD/7m x87Memory Mw
        DF/0m x87Memory Mw
        DF/1m x87Memory Mw
        DF/2m x87Memory Mw
        DF/3m x87Memory Mw
        DF/4m x87Memory Mt
        DF/5m x87Memory Mq
        DF/6m x87Memory Mt
        DF/7m x87Memory Mq
        # x87, register forms; the aliases that processors accept are among them (DC /2, DE /2, DD /1, DF /0 …)
        D8/0r x87 ST,STi
        D8/1r x87 ST,STi
        D8/2r x87 ST,STi
        D8/3r x87 ST,STi
        D8/4r x87 ST,STi
        D8/5r x87 ST,STi
        D8/6r x87 ST,STi
        D8/7r x87 ST,STi
        D9/0r x87 ST,STi
        D9/1r x87 ST,STi
        D9.D0 x87
        D9/3r x87 STi,ST
        D9.E0 x87
        D9.E1 x87
        D9.E4 x87
        D9.E5 x87
        D9.E8 x87
        D9.E9 x87
        D9.EA x87
        D9.EB x87
        D9.EC x87
        D9.ED x87
        D9.EE x87
        D9/6r x87
        D9/7r x87
        DA/0r x87 ST,STi
        DA/1r x87 ST,STi
        DA/2r x87 ST,STi
        DA/3r x87 ST,STi
        DA.E9 x87
        DB/0r x87 ST,STi
        DB/1r x87 ST,STi
        DB/2r x87 ST,STi
        DB/3r x87 ST,STi
        DB.E0 x87
        DB.E1 x87
        DB.E2 x87
        DB.E3 x87
        DB.E4 x87
        DB/5r x87 ST,STi
        DB/6r x87 ST,STi
        DC/0r x87 STi,ST
        DC/1r x87 STi,ST
        DC/2r x87 STi,ST
        DC/3r x87 STi,ST
        DC/4r x87 STi,ST
        DC/5r x87 STi,ST
        DC/6r x87 STi,ST
        DC/7r x87 STi,ST
        DD/0r x87 STi
        DD/1r x87 STi
        DD/2r x87 STi
        DD/3r x87 STi
        DD/4r x87 STi
        DD/5r x87 STi
        DE/0r x87 STi,ST
        DE/1r x87 STi,ST
        DE/2r x87 STi,ST
        DE.D9 x87
        DE/4r x87 STi,ST
        DE/5r x87 STi,ST
        DE/6r x87 STi,ST
        DE/7r x87 STi,ST
        DF/0r x87 STi
        DF/1r x87 STi
        DF/2r x87 STi
        DF/3r x87 STi
        DF.E0 x87 AX
        DF/5r x87 ST,STi
        DF/6r x87 ST,STi
        # MMX, with SSE's and SSE2's additions
        NP 0F60 mmx Pq,Qd
        NP 0F61 mmx Pq,Qd
        NP 0F62 mmx Pq,Qd
        NP 0F63 mmx Pq,Qq
        NP 0F64 mmx Pq,Qq
        NP 0F65 mmx Pq,Qq
        NP 0F66 mmx Pq,Qq
        NP 0F67 mmx Pq,Qq
        NP 0F68 mmx Pq,Qq
        NP 0F69 mmx Pq,Qq
        NP 0F6A mmx Pq,Qq
        NP 0F6B mmx Pq,Qq
        NP 0F6E mmxMove Pq,Ed
        NP 0F6F mmxMove Pq,Qq
        NP 0F70 mmxImmediate Pq,Qq,Ib
        NP 0F71/2r mmxImmediate Nq,Ib
        NP 0F71/4r mmxImmediate Nq,Ib
        NP 0F71/6r mmxImmediate Nq,Ib
        NP 0F72/2r mmxImmediate Nq,Ib
        NP 0F72/4r mmxImmediate Nq,Ib
        NP 0F72/6r mmxImmediate Nq,Ib
        NP 0F73/2r mmxImmediate Nq,Ib
        NP 0F73/6r mmxImmediate Nq,Ib
        NP 0F74 mmx Pq,Qq
        NP 0F75 mmx Pq,Qq
        NP 0F76 mmx Pq,Qq
        NP 0F77 emms
        NP 0F7E mmxMove Ed,Pq
        NP 0F7F mmxMove Qq,Pq
        NP 0FC4 mmxMove Pq,Ew,Ib
        NP 0FC5r mmxMove Gd,Nq,Ib
        NP 0FD1 mmx Pq,Qq
        NP 0FD2 mmx Pq,Qq
        NP 0FD3 mmx Pq,Qq
        NP 0FD4 mmx Pq,Qq
        NP 0FD5 mmx Pq,Qq
        NP 0FD7r mmxMove Gd,Nq
        NP 0FD8 mmx Pq,Qq
        NP 0FD9 mmx Pq,Qq
        NP 0FDA mmx Pq,Qq
        NP 0FDB mmx Pq,Qq
        NP 0FDC mmx Pq,Qq
        NP 0FDD mmx Pq,Qq
        NP 0FDE mmx Pq,Qq
        NP 0FDF mmx Pq,Qq
        NP 0FE0 mmx Pq,Qq
        NP 0FE1 mmx Pq,Qq
        NP 0FE2 mmx Pq,Qq
        NP 0FE3 mmx Pq,Qq
        NP 0FE4 mmx Pq,Qq
        NP 0FE5 mmx Pq,Qq
        NP 0FE7m mmxMove Mq,Pq
        NP 0FE8 mmx Pq,Qq
        NP 0FE9 mmx Pq,Qq
        NP 0FEA mmx Pq,Qq
        NP 0FEB mmx Pq,Qq
        NP 0FEC mmx Pq,Qq
        NP 0FED mmx Pq,Qq
        NP 0FEE mmx Pq,Qq
        NP 0FEF mmx Pq,Qq
        NP 0FF1 mmx Pq,Qq
        NP 0FF2 mmx Pq,Qq
        NP 0FF3 mmx Pq,Qq
        NP 0FF4 mmx Pq,Qq
        NP 0FF5 mmx Pq,Qq
        NP 0FF6 mmx Pq,Qq
        NP 0FF7r maskmov Pq,Nq
        NP 0FF8 mmx Pq,Qq
        NP 0FF9 mmx Pq,Qq
        NP 0FFA mmx Pq,Qq
        NP 0FFB mmx Pq,Qq
        NP 0FFC mmx Pq,Qq
        NP 0FFD mmx Pq,Qq
        NP 0FFE mmx Pq,Qq
        # SSE and SSE2: moves
        NP 0F10 sseMemory Vo,Wo
        NP 0F11 sseMemory Wo,Vo
        66 0F10 sseMemory Vo,Wo
        66 0F11 sseMemory Wo,Vo
        F3 0F10 sseMemory Vo,Wd
        F3 0F11 sseMemory Wd,Vo
        F2 0F10 sseMemory Vo,Wq
        F2 0F11 sseMemory Wq,Vo
        NP 0F12m sseMemory Vo,Mq
        NP 0F13m sseMemory Mq,Vo
        NP 0F16m sseMemory Vo,Mq
        NP 0F17m sseMemory Mq,Vo
        NP 0F28 sseMemory Vo,Wo
        NP 0F29 sseMemory Wo,Vo
        NP 0F2Bm sseMemory Mo,Vo
        66 0F12m sseMemory Vo,Mq
        66 0F13m sseMemory Mq,Vo
        66 0F16m sseMemory Vo,Mq
        66 0F17m sseMemory Mq,Vo
        66 0F28 sseMemory Vo,Wo
        66 0F29 sseMemory Wo,Vo
        66 0F2Bm sseMemory Mo,Vo
        66 0F6E sseMemory Vo,Ed
        66 0F6F sseMemory Vo,Wo
        F3 0F6F sseMemory Vo,Wo
        66 0F7E sseMemory Ed,Vo
        F3 0F7E sseMemory Vo,Wq
        66 0F7F sseMemory Wo,Vo
        F3 0F7F sseMemory Wo,Vo
        66 0FD6 sseMemory Wq,Vo
        F3 0FD6r sseMemory Vo,Nq
        F2 0FD6r sseMemory Pq,Uo
        66 0FE7m sseMemory Mo,Vo
        F2 0FF0m sseMemory Vo,Mo
        66 0FF7r maskmov Vo,Uo
        # SSE and SSE2: whatever MXCSR has no part in
        NP 0F12r sse Vo,Uo
        F3 0F12 sse Vo,Wo
        F2 0F12 sse Vo,Wq
        NP 0F16r sse Vo,Uo
        F3 0F16 sse Vo,Wo
        NP 0F14 sse Vo,Wo
        66 0F14 sse Vo,Wo
        NP 0F15 sse Vo,Wo
        66 0F15 sse Vo,Wo
        NP 0F52 sse Vo,Wo
        F3 0F52 sse Vo,Wd
        NP 0F53 sse Vo,Wo
        F3 0F53 sse Vo,Wd
        NP 0F54 sse Vo,Wo
        66 0F54 sse Vo,Wo
        NP 0F55 sse Vo,Wo
        66 0F55 sse Vo,Wo
        NP 0F56 sse Vo,Wo
        66 0F56 sse Vo,Wo
        NP 0F57 sse Vo,Wo
        66 0F57 sse Vo,Wo
        66 0F60 sse Vo,Wo
        66 0F61 sse Vo,Wo
        66 0F62 sse Vo,Wo
        66 0F63 sse Vo,Wo
        66 0F64 sse Vo,Wo
        66 0F65 sse Vo,Wo
        66 0F66 sse Vo,Wo
        66 0F67 sse Vo,Wo
        66 0F68 sse Vo,Wo
        66 0F69 sse Vo,Wo
        66 0F6A sse Vo,Wo
        66 0F6B sse Vo,Wo
        66 0F6C sse Vo,Wo
        66 0F6D sse Vo,Wo
        66 0F74 sse Vo,Wo
        66 0F75 sse Vo,Wo
        66 0F76 sse Vo,Wo
        66 0FD1 sse Vo,Wo
        66 0FD2 sse Vo,Wo
        66 0FD3 sse Vo,Wo
        66 0FD4 sse Vo,Wo
        66 0FD5 sse Vo,Wo
        66 0FD8 sse Vo,Wo
        66 0FD9 sse Vo,Wo
        66 0FDA sse Vo,Wo
        66 0FDB sse Vo,Wo
        66 0FDC sse Vo,Wo
        66 0FDD sse Vo,Wo
        66 0FDE sse Vo,Wo
        66 0FDF sse Vo,Wo
        66 0FE0 sse Vo,Wo
        66 0FE1 sse Vo,Wo
        66 0FE2 sse Vo,Wo
        66 0FE3 sse Vo,Wo
        66 0FE4 sse Vo,Wo
        66 0FE5 sse Vo,Wo
        66 0FE8 sse Vo,Wo
        66 0FE9 sse Vo,Wo
        66 0FEA sse Vo,Wo
        66 0FEB sse Vo,Wo
        66 0FEC sse Vo,Wo
        66 0FED sse Vo,Wo
        66 0FEE sse Vo,Wo
        66 0FEF sse Vo,Wo
        66 0FF1 sse Vo,Wo
        66 0FF2 sse Vo,Wo
        66 0FF3 sse Vo,Wo
        66 0FF4 sse Vo,Wo
        66 0FF5 sse Vo,Wo
        66 0FF6 sse Vo,Wo
        66 0FF8 sse Vo,Wo
        66 0FF9 sse Vo,Wo
        66 0FFA sse Vo,Wo
        66 0FFB sse Vo,Wo
        66 0FFC sse Vo,Wo
        66 0FFD sse Vo,Wo
        66 0FFE sse Vo,Wo
        66 0F70 sseImmediate Vo,Wo,Ib
        F3 0F70 sseImmediate Vo,Wo,Ib
        F2 0F70 sseImmediate Vo,Wo,Ib
        66 0F71/2r sseImmediate Uo,Ib
        66 0F71/4r sseImmediate Uo,Ib
        66 0F71/6r sseImmediate Uo,Ib
        66 0F72/2r sseImmediate Uo,Ib
        66 0F72/4r sseImmediate Uo,Ib
        66 0F72/6r sseImmediate Uo,Ib
        66 0F73/2r sseImmediate Uo,Ib
        66 0F73/3r sseImmediate Uo,Ib
        66 0F73/6r sseImmediate Uo,Ib
        66 0F73/7r sseImmediate Uo,Ib
        NP 0FC6 sseImmediate Vo,Wo,Ib
        66 0FC6 sseImmediate Vo,Wo,Ib
        NP 0F50r sseMoveMask Gd,Uo
        66 0F50r sseMoveMask Gd,Uo
        66 0FD7r sseMoveMask Gd,Uo
        66 0FC5r sseMoveMask Gd,Uo,Ib
        66 0FC4 sseImmediate Vo,Ew,Ib
        # SSE and SSE2: arithmetic under MXCSR
        NP 0F51 sseNumeric Vo,Wo
        66 0F51 sseNumeric Vo,Wo
        F3 0F51 sseNumeric Vo,Wd
        F2 0F51 sseNumeric Vo,Wq
        NP 0F58 sseNumeric Vo,Wo
        66 0F58 sseNumeric Vo,Wo
        F3 0F58 sseNumeric Vo,Wd
        F2 0F58 sseNumeric Vo,Wq
        NP 0F59 sseNumeric Vo,Wo
        66 0F59 sseNumeric Vo,Wo
        F3 0F59 sseNumeric Vo,Wd
        F2 0F59 sseNumeric Vo,Wq
        NP 0F5C sseNumeric Vo,Wo
        66 0F5C sseNumeric Vo,Wo
        F3 0F5C sseNumeric Vo,Wd
        F2 0F5C sseNumeric Vo,Wq
        NP 0F5D sseNumeric Vo,Wo
        66 0F5D sseNumeric Vo,Wo
        F3 0F5D sseNumeric Vo,Wd
        F2 0F5D sseNumeric Vo,Wq
        NP 0F5E sseNumeric Vo,Wo
        66 0F5E sseNumeric Vo,Wo
        F3 0F5E sseNumeric Vo,Wd
        F2 0F5E sseNumeric Vo,Wq
        NP 0F5F sseNumeric Vo,Wo
        66 0F5F sseNumeric Vo,Wo
        F3 0F5F sseNumeric Vo,Wd
        F2 0F5F sseNumeric Vo,Wq
        NP 0F5A sseNumeric Vo,Wq
        66 0F5A sseNumeric Vo,Wo
        F3 0F5A sseNumeric Vo,Wd
        F2 0F5A sseNumeric Vo,Wq
        NP 0F5B sseNumeric Vo,Wo
        66 0F5B sseNumeric Vo,Wo
        F3 0F5B sseNumeric Vo,Wo
        66 0FE6 sseNumeric Vo,Wo
        F3 0FE6 sseNumeric Vo,Wq
        F2 0FE6 sseNumeric Vo,Wo
        NP 0FC2 sseNumeric Vo,Wo,Ib
        66 0FC2 sseNumeric Vo,Wo,Ib
        F3 0FC2 sseNumeric Vo,Wd,Ib
        F2 0FC2 sseNumeric Vo,Wq,Ib
        NP 0F2E sseCompare Vo,Wd
        66 0F2E sseCompare Vo,Wq
        NP 0F2F sseCompare Vo,Wd
        66 0F2F sseCompare Vo,Wq
        F3 0F2A sseFromGeneral Vo,Ed
        F2 0F2A sseFromGeneral Vo,Ed
        F3 0F2C sseToGeneral Gd,Wd
        F2 0F2C sseToGeneral Gd,Wq
        F3 0F2D sseToGeneral Gd,Wd
        F2 0F2D sseToGeneral Gd,Wq
        NP 0F2A sseConvert Vo,Qq
        66 0F2A sseConvert Vo,Qq
        NP 0F2C sseConvert Pq,Wq
        66 0F2C sseConvert Pq,Wo
        NP 0F2D sseConvert Pq,Wq
        66 0F2D sseConvert Pq,Wo
        # SSE3 and SSSE3
        66 0F7C sseNumeric Vo,Wo
        F2 0F7C sseNumeric Vo,Wo
        66 0F7D sseNumeric Vo,Wo
        F2 0F7D sseNumeric Vo,Wo
        66 0FD0 sseNumeric Vo,Wo
        F2 0FD0 sseNumeric Vo,Wo
        NP 0F3800 mmx Pq,Qq
        66 0F3800 sse Vo,Wo
        NP 0F3801 mmx Pq,Qq
        66 0F3801 sse Vo,Wo
        NP 0F3802 mmx Pq,Qq
        66 0F3802 sse Vo,Wo
        NP 0F3803 mmx Pq,Qq
        66 0F3803 sse Vo,Wo
        NP 0F3804 mmx Pq,Qq
        66 0F3804 sse Vo,Wo
        NP 0F3805 mmx Pq,Qq
        66 0F3805 sse Vo,Wo
        NP 0F3806 mmx Pq,Qq
        66 0F3806 sse Vo,Wo
        NP 0F3807 mmx Pq,Qq
        66 0F3807 sse Vo,Wo
        NP 0F3808 mmx Pq,Qq
        66 0F3808 sse Vo,Wo
        NP 0F3809 mmx Pq,Qq
        66 0F3809 sse Vo,Wo
        NP 0F380A mmx Pq,Qq
        66 0F380A sse Vo,Wo
        NP 0F380B mmx Pq,Qq
        66 0F380B sse Vo,Wo
        NP 0F381C mmx Pq,Qq
        66 0F381C sse Vo,Wo
        NP 0F381D mmx Pq,Qq
        66 0F381D sse Vo,Wo
        NP 0F381E mmx Pq,Qq
        66 0F381E sse Vo,Wo
        NP 0F3A0F mmxImmediate Pq,Qq,Ib
        66 0F3A0F sseImmediate Vo,Wo,Ib
        # State, fences, cache
        NP 0FAE/0m fxsave M
        NP 0FAE/1m fxrstor M
        NP 0FAE/2m ldmxcsr Md
        NP 0FAE/3m stmxcsr Md
        NP 0FAE/5r fence
        NP 0FAE/6r fence
        NP 0FAE/7r fence
        NP 0FAE/7m clflush Mb

        """
}
