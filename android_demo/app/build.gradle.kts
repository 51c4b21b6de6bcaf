// The demo. Its assets are made first: make android-assets, in the repository's root.
plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "dev.edgepro.demo"
    compileSdk = 35
    defaultConfig {
        applicationId = "dev.edgepro.demo" // The sidecar's audience.
        minSdk = 31 // Keys that agree in hardware.
        targetSdk = 35
        versionCode = 1
        versionName = "0.1.0"
    }
    androidResources {
        noCompress += "tflite" // So that it is mapped where it lies.
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }
    testOptions {
        unitTests.isIncludeAndroidResources = true
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
}

kotlin {
    compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8) }
}

dependencies {
    implementation(project(":edgepro"))
    implementation(libs.tflite)
    testImplementation(libs.junit4)
    testImplementation(libs.robolectric)
}
